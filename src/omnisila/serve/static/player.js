// The player: the file itself where the browser plays it, else previews of stretches; times are those of the analysis.

import { get } from "./server.js";
import { byId, clock, make } from "./words.js";

const CONTEXT_S = 5;  // of a preview, around what is asked for
const SAME_LENGTH_S = 0.6;  // a file whose length the browser sees otherwise has other times too
const INSIDE_S = 0.001;  // a time that rounding puts before its frame would show the one before
const SPEEDS = [0.125, 0.25, 0.5, 1, 1.5, 2, 4, 8];

export class Player {
  constructor(moved) {
    this.video = byId("video");
    this.moved = moved;
    this.piece = null;  // {start, end, url}
    this.wantedS = 0;
    this.span = null;
    this.looping = false;
    this.untilS = null;
    this.turn = 0;
    this.showing = true;
    this.frames = [];
    const follow = () => {
      if (!this.video.paused) this.check();
      requestAnimationFrame(follow);
    };
    follow();
    this.video.addEventListener("seeked", () => this.tell());
    this.video.addEventListener("play", () => { byId("play").textContent = "Pause"; });
    this.video.addEventListener("pause", () => { byId("play").textContent = "Play"; });
    this.video.addEventListener("ended", () => this.ended());
    this.video.addEventListener("error", () => this.unplayable());
  }

  /** Where the playhead is: what was asked for, however far the browser is with it, until the video plays. */
  get timeS() { return this.piece && !this.video.paused && !this.video.seeking ? this.piece.start + this.video.currentTime : this.wantedS; }

  place() { this.video.currentTime = Math.max(this.wantedS - this.piece.start, 0) + INSIDE_S; }

  halt() {
    this.wantedS = this.timeS;
    this.video.pause();
  }

  /** Show a report's video; nothing changes where it is shown already. */
  async open(report, durationS, rateHz, ratio) {
    this.frameS = 1 / (rateHz || 25);
    this.durationS = durationS;
    if (this.report === report) return;
    this.report = report;
    const turn = ++this.turn;
    byId("screen").style.setProperty("--ratio", ratio);
    this.video.pause();
    this.piece = null;
    this.media = null;
    this.say("");
    const media = await get(`videos/${report}/media`);
    if (turn !== this.turn) return;
    this.media = media;
    this.say(media.note ?? "");
    if (media.show === "original") this.load({ start: 0, end: Infinity, url: `api/videos/${report}/original`, whole: true });
    else this.seek(this.wantedS);
  }

  load(piece) {
    this.piece = piece;
    this.video.src = piece.url;
    this.video.playbackRate = this.speed ?? 1;
    const turn = ++this.turn;
    this.video.addEventListener("loadedmetadata", () => {
      if (turn !== this.turn) return;
      if (piece.whole && Math.abs(this.video.duration - this.durationS) > SAME_LENGTH_S) this.unplayable();
      else this.place();
    }, { once: true });
  }

  unplayable() {
    if (!this.piece) return;
    if (this.piece.whole) {
      this.media = { ...this.media, show: "preview" };
      this.piece = null;
      this.seek(this.wantedS);
    } else {
      fetch(this.piece.url).then((response) => response.json()).then((said) => this.say(said.error.message)).catch(() => this.say("No preview could be made."));
    }
  }

  seek(timeS) {
    this.wantedS = Math.min(Math.max(timeS, 0), this.durationS ?? timeS);
    this.untilS = null;
    const { piece } = this;
    if (piece && this.wantedS >= piece.start && this.wantedS <= piece.end) {
      if (this.video.readyState > 0) this.place();
    } else if (this.media?.show === "preview") {
      const inSpan = this.span && this.wantedS >= this.span.start_s - CONTEXT_S && this.wantedS <= this.span.end_s + CONTEXT_S && this.span.end_s - this.span.start_s < 40;
      const start = Math.floor(Math.max((inSpan ? this.span.start_s : this.wantedS) - CONTEXT_S, 0));
      const end = Math.min(Math.ceil(inSpan ? this.span.end_s + CONTEXT_S : start + this.media.max_preview_s), Math.ceil(this.durationS));
      this.load({ start, end: Math.max(end, start + 1), url: `api/videos/${this.report}/preview?start_s=${start}&end_s=${Math.max(end, start + 1)}` });
    }
    this.tell();
  }

  check() {
    const end = this.looping ? this.span?.end_s : this.untilS;
    if (end !== null && end !== undefined && this.timeS >= end - this.frameS / 2) {
      if (this.looping) this.seek(this.span.start_s);
      else { this.halt(); this.untilS = null; }
    }
    this.tell();
  }

  ended() {
    if (this.looping && this.span) { this.seek(this.span.start_s); this.play(); }
    else if (this.piece && !this.piece.whole && this.piece.end < this.durationS) { this.seek(this.piece.end + 0.001); this.play(); }
  }

  tell() {
    this.wantedS = this.timeS;
    byId("now").textContent = clock(this.wantedS, 3);
    this.draw();
    this.moved(this.wantedS);
  }

  play() { this.video.play().catch(() => {}); }

  toggle() { if (this.video.paused) this.play(); else this.halt(); }

  playSpan() {
    if (!this.span) return;
    this.seek(this.span.start_s);
    this.untilS = this.span.end_s;
    this.play();
  }

  toggleLoop() {
    this.looping = !this.looping;
    byId("loop").setAttribute("aria-pressed", this.looping);
  }

  step(frames) {
    this.halt();
    this.seek(this.wantedS + frames * this.frameS);
  }

  changeSpeed(by) {
    const at = SPEEDS.indexOf(this.speed ?? 1);
    this.speed = SPEEDS[Math.min(Math.max(at + by, 0), SPEEDS.length - 1)];
    this.video.playbackRate = this.speed;
    byId("speed").textContent = `${this.speed}×`;
  }

  say(text) {
    byId("absent").textContent = text;
    byId("absent").hidden = !text;
  }

  /** What was seen, drawn where the playhead is near the moment it was seen at. */
  show(frames) {
    this.frames = frames;
    this.drawn = undefined;
    this.draw();
  }

  toggleEvidence() {
    this.showing = !this.showing;
    byId("seen").setAttribute("aria-pressed", this.showing);
    this.drawn = undefined;
    this.draw();
  }

  draw() {
    const near = this.showing ? this.frames.filter((frame) => Math.abs(frame.time_s - this.wantedS) <= 0.26) : [];
    const frame = near.sort((a, b) => Math.abs(a.time_s - this.wantedS) - Math.abs(b.time_s - this.wantedS))[0] ?? null;
    if (frame === this.drawn) return;
    this.drawn = frame;
    byId("overlay").replaceChildren(...(frame ? shapes(frame.shapes) : []));
    if (frame) byId("overlay").setAttribute("viewBox", `0 0 ${frame.shapes.width} ${frame.shapes.height}`);
  }
}

function shapes({ unit, faces, people, objects, relations }) {
  const box = (edges, name) => make("rect", { x: edges.x, y: edges.y, width: edges.width, height: edges.height, class: name });
  const words = (label) => make("text", { x: label.x, y: label.y, "font-size": unit }, label.text);
  const line = (ends, name) => make("line", { x1: ends.x1, y1: ends.y1, x2: ends.x2, y2: ends.y2, class: name });
  const group = (name, ...children) => make("g", { class: `o o-${name}` }, ...children);
  return [
    group("relations", ...relations.flatMap((relation) => [box(relation.subject, "frame"), box(relation.object, "frame"), line(relation.line, "link")])),
    group("objects", ...objects.flatMap((object) => [box(object.box, "case"), box(object.box)])),
    group("people", ...people.flatMap((person) => [
      box(person.box, "frame"), ...person.limbs.map((limb) => line(limb, limb.sure ? null : "faint")),
      ...person.joints.filter((joint) => joint.sure).map((joint) => make("circle", { cx: joint.x, cy: joint.y, r: unit / 6 })),
    ])),
    group("faces", ...faces.flatMap((face) => [box(face.box, "case"), box(face.box)])),
    ...[["relations", relations], ["objects", objects], ["faces", faces]].map(([name, all]) => group(name, ...all.map((shape) => words(shape.label)))),
  ];
}
