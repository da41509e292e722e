// The time line: findings of model and person, the anomaly curve, expert weights, and the edges of the chosen span.

import { byId, clock, final, headline, kind, make } from "./words.js";

const NEAR_FROM_S = 90;  // shorter videos are always shown whole
const HEIGHT = 100;

export class TimeLine {
  constructor({ seek, choose, edge }) {
    Object.assign(this, { seek, choose, edge });
    this.plots = byId("plots");
    this.near = true;
    this.plots.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button, .handle")) return;
      const follow = (moved) => this.seek(this.timeAt(moved));
      this.plots.setPointerCapture(event.pointerId);
      follow(event);
      this.plots.addEventListener("pointermove", follow);
      this.plots.addEventListener("pointerup", () => this.plots.removeEventListener("pointermove", follow), { once: true });
    });
    for (const [id, near] of [["near", true], ["whole", false]])
      byId(id).addEventListener("click", () => { this.near = near; this.draw(this.video, this.chosen); });
  }

  timeAt(event) {
    const box = this.plots.getBoundingClientRect();
    return this.from + Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * (this.until - this.from);
  }

  at(timeS) { return `${100 * Math.min(Math.max((timeS - this.from) / (this.until - this.from), 0), 1)}%`; }

  draw(video, chosen) {
    Object.assign(this, { video, chosen });
    if (this.dragging) return;  // what is held must not be taken away; drawn when it is let go
    byId("near").setAttribute("aria-pressed", this.near);
    byId("whole").setAttribute("aria-pressed", !this.near);
    byId("part").hidden = video.duration_s <= NEAR_FROM_S;
    this.from = 0;
    this.until = video.duration_s;
    if (this.near && chosen && video.duration_s > NEAR_FROM_S) {
      const now = final(chosen), aroundS = Math.max(2 * (now.end_s - now.start_s), 20);
      this.from = Math.max(now.start_s - aroundS, 0);
      this.until = Math.min(now.end_s + aroundS, video.duration_s);
    }
    const lanes = Object.keys(video.lanes).map((name) => this.lane(name));
    this.cursor = make("div", { class: "cursor", "--left": this.at(0) });
    const scenes = Object.keys(video.weights[0]?.weights ?? {});
    this.plots.replaceChildren(
      ...lanes.flat(), ...(video.curve.length ? [this.curve()] : []), ...(scenes.length ? [this.weights(scenes)] : []),
      make("div", { class: "axis" }, ...[0, 0.25, 0.5, 0.75, 1].map((share) => make("span", {}, clock(this.from + share * (this.until - this.from))))),
      this.cursor,
    );
    byId("legend").replaceChildren(...scenes.map((scene) => make("span", {}, make("span", { class: `mark ${scene}` }), scene)));
    this.moveTo(this.now ?? 0);
  }

  lane(name) {
    const mine = this.video.findings.filter((finding) => finding.labels === name);
    const byModel = mine.filter((finding) => finding.added_by === null);
    const byPeople = mine.filter((finding) => finding.added_by !== null || finding.state.start_s !== null || finding.state.label !== null);
    return [
      this.bars(`${this.video.lanes[name]}, model`, byModel, (finding) => finding, "models"),
      ...(byPeople.length || mine.includes(this.chosen) ? [this.bars(`${this.video.lanes[name]}, you`, byPeople, final, "people", mine.includes(this.chosen))] : []),
    ];
  }

  bars(title, findings, spanOf, name, edges = false) {
    const ends = [], shown = findings.filter((finding) => spanOf(finding).end_s > this.from && spanOf(finding).start_s < this.until);
    const nodes = [...shown].sort((a, b) => spanOf(a).start_s - spanOf(b).start_s).map((finding) => {
      const span = spanOf(finding), free = ends.findIndex((end) => end <= span.start_s), row = free < 0 ? ends.length : free;
      ends[row] = span.end_s;
      const left = Math.max(span.start_s, this.from), width = Math.min(span.end_s, this.until) - left;
      const text = headline(finding.labels, span.label);
      return make("button", {
        type: "button", tabindex: -1, class: `bar-of ${kind(finding.labels, span.label)} ${finding.state.verdict ?? ""}`, "--row": row,
        "--left": this.at(left), "--width": `${100 * width / (this.until - this.from)}%`,
        "aria-current": finding === this.chosen, title: `${text}, ${clock(span.start_s, 3)} to ${clock(span.end_s, 3)}`, onclick: () => this.choose(finding),
      }, text);
    });
    const handles = edges ? ["start", "end"].map((side) => this.handle(side)) : [];
    return make("div", { class: `lane ${name}`, "--rows": Math.max(ends.length, 1), role: "group", "aria-label": title }, ...nodes, ...handles, ends.length ? null : make("i", {}, title));
  }

  handle(side) {
    const key = `${side}_s`, timeS = final(this.chosen)[key];
    const node = make("div", {
      class: "handle", "--left": this.at(timeS), role: "slider", tabindex: 0, "aria-label": `${side === "start" ? "Start" : "End"} of the span`,
      "aria-valuemin": 0, "aria-valuemax": this.video.duration_s, "aria-valuenow": timeS, "aria-valuetext": clock(timeS, 3),
      onkeydown: (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        this.edge.nudge(side, step, event.shiftKey ? "s" : "f");
      },
      onpointerdown: (event) => {
        event.stopPropagation();
        event.preventDefault();
        node.setPointerCapture(event.pointerId);
        this.dragging = true;
        const finding = this.chosen;
        const move = (moved) => {
          const atS = this.timeAt(moved);
          node.style.setProperty("--left", this.at(atS));
          this.seek(atS);
        };
        node.addEventListener("pointermove", move);
        const end = (ended) => {
          node.removeEventListener("pointermove", move);
          this.dragging = false;
          const moved = ended.type === "pointerup" && Math.abs(ended.clientX - event.clientX) >= 1 && this.chosen === finding;
          if (moved) this.edge.set(side, this.timeAt(ended));
          this.draw(this.video, this.chosen);
        };
        node.addEventListener("pointerup", end, { once: true });
        node.addEventListener("pointercancel", end, { once: true });
      },
    });
    return node;
  }

  x(timeS) { return 1000 * (timeS - this.from) / (this.until - this.from); }

  chart(name, title, ...children) {
    return make("div", { class: `chart ${name}`, role: "img", "aria-label": title }, make("svg", { viewBox: `0 0 1000 ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...children), make("i", {}, title));
  }

  curve() {
    let line = "", area = "", run = [];
    const end = () => {
      if (!run.length) return;
      const path = run.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
      line += path;
      area += `${path}L${run.at(-1)[0].toFixed(2)} ${HEIGHT}L${run[0][0].toFixed(2)} ${HEIGHT}Z`;
      run = [];
    };
    this.video.curve.forEach((point, k) => {
      const before = this.video.curve[k - 1];
      if (before && point.start_s - before.end_s > 5) end();
      const y = HEIGHT * (1 - point.score);
      run.push([this.x(point.start_s), y], [this.x(point.end_s), y]);
    });
    end();
    const now = this.chosen && final(this.chosen);
    const chosen = now && make("rect", { class: "chosen", x: this.x(now.start_s), y: 0, width: Math.max(this.x(now.end_s) - this.x(now.start_s), 1), height: HEIGHT });
    return this.chart("curve", "Anomaly", chosen, make("path", { class: "area", d: area }), make("path", { class: "line", d: line }));
  }

  weights(scenes) {
    const bars = this.video.weights.filter((point) => point.end_s > this.from && point.start_s < this.until).flatMap((point) => {
      let below = 0;
      return scenes.map((scene) => {
        const share = point.weights[scene] ?? 0;
        below += share;
        return make("rect", { class: `share ${scene}`, x: this.x(point.start_s), width: this.x(point.end_s) - this.x(point.start_s) + 0.3, y: HEIGHT * (1 - below), height: HEIGHT * share });
      });
    });
    return this.chart("weights", "Expert weights", ...bars);
  }

  moveTo(timeS) {
    this.now = timeS;
    if (!this.cursor) return;
    this.cursor.style.setProperty("--left", this.at(timeS));
    this.cursor.hidden = timeS < this.from || timeS > this.until;
  }
}
