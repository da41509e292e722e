// The review page: what is chosen, what is decided about it, and how both are shown.

import { choiceKey, listen } from "./keys.js";
import { Player } from "./player.js";
import { Queue } from "./queue.js";
import { get, Saver } from "./server.js";
import { showAgreement } from "./agreement.js";
import { TimeLine } from "./timeline.js";
import { byId, clock, final, headline, kind, make, milliseconds, seconds } from "./words.js";

const known = new Map();  // findings by id: one object each, wherever it is shown
const pending = new Map();  // how many changes of a finding are being saved
let status, saver, chosen = null, video = null;

const player = new Player((timeS) => timeLine.moveTo(timeS));
const timeLine = new TimeLine({ seek: (timeS) => player.seek(timeS), choose: (finding) => open(finding), edge: { nudge, set: setEdge } });
const queue = new Queue({ open: (finding) => open(finding) });

const canDecide = () => status.role !== "viewer";
/** Whether the player shows the chosen finding's video: while it is fetched, there is no time and no frame to act on. */
const isShown = () => chosen !== null && video?.report === chosen.report;
const isOpen = (finding) => finding.state.verdict === null && !pending.get(finding.finding);

/** The one object of a finding, brought up to date. */
function keep(listed) {
  const old = known.get(listed.finding);
  if (!old) known.set(listed.finding, listed);
  else if (!pending.get(listed.finding)) old.state = listed.state;
  return known.get(listed.finding);
}

async function open(listed, atS = null) {
  const finding = keep(listed), changed = finding.finding !== chosen?.finding;
  chosen = finding;
  queue.choose(finding);
  if (!video || video.report !== finding.report) {
    show();
    const shown = await get(`videos/${finding.report}`).catch((error) => { tell("refused", 0, error.message); return null; });
    if (chosen !== finding || !shown) return;
    shown.findings = shown.findings.map(keep);
    video = shown;
  }
  player.span = final(finding);
  player.open(video.report, video.duration_s, video.rate_hz, video.width_px && video.height_px ? video.width_px / video.height_px : 16 / 9);
  if (changed) {
    player.show([]);
    player.seek(atS ?? final(finding).start_s);
    get(`videos/${finding.report}/findings/${finding.finding}`).then((detail) => { if (chosen === finding) showDetail(detail); }).catch(() => {});
  }
  show();
}

function show() {
  for (const id of ["accept", "reject", "relabel", "start", "end", "add"]) byId(id).disabled = !isShown() || !canDecide();
  for (const button of document.querySelectorAll("#rating button, [data-nudge]")) button.disabled = !isShown() || !canDecide();
  for (const id of ["play", "from-start", "loop", "back", "forward"]) byId(id).disabled = !isShown();
  byId("undo").disabled = !status.can_undo;
  byId("redo").disabled = !status.can_redo;
  if (!isShown()) return;
  const { state } = chosen, now = final(chosen);
  byId("title").replaceChildren(make("span", { class: `mark ${kind(chosen.labels, now.label)}` }), headline(chosen.labels, now.label));
  byId("where").textContent = `${clock(now.start_s)}–${clock(now.end_s)} in ${video.video} · ${video.model}`;
  document.title = `${headline(chosen.labels, now.label)} · omnisila`;
  const said = chosen.added_by ? `Added by ${chosen.added_by}.` : `The model says ${headline(chosen.labels, chosen.label)}, score ${chosen.score.toFixed(2)}.`;
  byId("said").textContent = said;
  byId("cause").textContent = chosen.cause ?? "No cause is stated.";
  byId("accept").setAttribute("aria-pressed", state.verdict === "accepted");
  byId("reject").setAttribute("aria-pressed", state.verdict === "rejected");
  byId("label").textContent = state.label && state.label !== chosen.label ? `${state.label} (was ${chosen.label})` : now.label;
  for (const button of document.querySelectorAll("#rating button")) button.setAttribute("aria-pressed", Number(button.value) === state.rating);
  for (const side of ["start", "end"]) {
    if (document.activeElement !== byId(side)) {
      byId(side).value = clock(now[`${side}_s`], 3);
      byId(side).removeAttribute("aria-invalid");
    }
  }
  byId("models-span").textContent = chosen.added_by ? "" : `Model: ${clock(chosen.start_s, 3)} to ${clock(chosen.end_s, 3)}`;
  const warnings = byId("warnings");
  warnings.hidden = video.warnings.length === 0;
  warnings.querySelector("summary").textContent = `${video.warnings.length} warning${video.warnings.length === 1 ? "" : "s"}`;
  warnings.querySelector("ul").replaceChildren(...video.warnings.map((text) => make("li", {}, text)));
  player.span = now;
  timeLine.draw(video, chosen);
}

function showDetail(detail) {
  player.show(detail.frames);
  const weights = Object.entries(detail.expert_weights ?? {}).map(([scene, share]) => `${scene} ${share.toFixed(2)}`);
  byId("words").replaceChildren(...[["Seen", detail.seen], ["Expert weights", weights.map((text) => [text, ""])]].filter(([, all]) => all.length).map(([title, all]) =>
    make("div", {}, make("h3", {}, title), make("ul", {}, ...all.map(([text, when]) => make("li", {}, make("span", {}, text), make("span", { class: "soft" }, when)))))));
}

/** What happened to what was to be saved, in words. */
function tell(how, waiting, reason = "") {
  const words = { saving: "Saving…", saved: "All changes are saved.", unsaved: `Not saved yet (${waiting}): ${reason}. Trying again.`, refused: `Refused: ${reason}` };
  byId("saved").textContent = words[how];
  byId("saved").className = `small ${how === "unsaved" || how === "refused" ? "bad" : ""}`;
}

/** Save a change; shown as saved when the server has it. */
async function save(path, body, findings = []) {
  const count = (id, by) => {
    pending.set(id, (pending.get(id) ?? 0) + by);
    if (!pending.get(id)) pending.delete(id);
    if (known.has(id)) queue.refresh(known.get(id), pending.has(id));
  };
  findings.forEach((id) => count(id, 1));
  let said = null;
  try {
    said = await saver.save(path, body);
  } catch { /* refused, which Saver told */ }
  findings.forEach((id) => count(id, -1));
  if (said) {
    Object.assign(status, { can_undo: said.can_undo, can_redo: said.can_redo });
    for (const [name, state] of Object.entries(said.findings)) settle(name, state);
    queue.count();
  }
  show();
  return said;
}

function settle(name, state) {
  const finding = known.get(name);
  if (!finding) return;
  queue.left += (finding.state.verdict !== null) - (state.verdict !== null);
  finding.state = state;
  queue.refresh(finding, pending.has(name));
}

function change(finding, fields) {
  if (!isShown() || !canDecide()) return null;
  return save("edits", { findings: [finding.finding], change: fields }, [finding.finding]);
}

async function decide(verdict) {
  const finding = chosen;
  if (!isShown() || !canDecide()) return;
  change(finding, { verdict });
  const next = await queue.next(finding, 1, isOpen) ?? await queue.next(null, 1, isOpen);
  if (next && chosen === finding) open(next);
  else if (!next) tell("saved", 0);
}

function decideMarked(verdict) {
  const names = [...queue.marked];
  if (!names.length || !canDecide()) return;
  queue.unmark();
  save("edits", { findings: names, change: { verdict } }, names);
}

async function go(step, fits = isOpen) {
  const next = await queue.next(chosen, step, fits);
  if (next) open(next);
}

/** Undo and redo show what they touched. */
async function step(kindOfStep) {
  if (!canDecide()) return;
  const said = await save(kindOfStep, {});
  const names = Object.keys(said?.findings ?? {});
  if (!names.length) return;
  if (names.some((name) => !known.has(name) || !said.findings[name].present)) video = null;  // one came or went
  const shown = names.find((name) => said.findings[name].present);
  if (shown) open(known.get(shown) ?? await get(`findings/${shown}`));
  else reopen();
}

async function reopen() {
  const finding = chosen.state.present ? chosen : await queue.next(null, 1, () => true);
  video = null;
  chosen = null;
  if (finding) open(finding);
}

function setSpan(startS, endS) {
  const start_s = Math.max(milliseconds(startS), 0), end_s = milliseconds(endS);
  if (!chosen || !canDecide()) return;
  if (end_s <= start_s) {
    tell("refused", 0, "the end must come after the start.");
    show();
    return;
  }
  const now = final(chosen);
  if (now.start_s === start_s && now.end_s === end_s) { show(); return; }
  change(chosen, { start_s, end_s });
}

function setEdge(side, timeS) {
  if (!isShown()) return;
  const now = final(chosen);
  if (side === "start") setSpan(timeS, now.end_s); else setSpan(now.start_s, timeS);
}

const unsavedEdges = new Map();  // nudges that follow each other quickly are one change

function nudge(side, direction, unit) {
  if (!isShown() || !canDecide()) return;
  const finding = chosen, now = unsavedEdges.get(finding) ?? final(finding), by = direction * (unit === "s" ? 1 : player.frameS);
  const moved = { start_s: Math.max(now.start_s, 0), end_s: now.end_s };
  moved[`${side}_s`] = Math.max(milliseconds(moved[`${side}_s`] + by), 0);
  if (moved.end_s <= moved.start_s) { tell("refused", 0, "the end must come after the start."); return; }
  if (moved.start_s === now.start_s && moved.end_s === now.end_s) return;
  unsavedEdges.set(finding, moved);
  player.halt();
  player.seek(side === "start" ? moved.start_s : moved.end_s);
  byId(side).value = clock(moved[`${side}_s`], 3);
  change(finding, moved).finally(() => { if (unsavedEdges.get(finding) === moved) unsavedEdges.delete(finding); });
}

function chooseLabel(title, done, labels) {
  const dialog = byId("labels");
  byId("labels-title").textContent = title;
  dialog.querySelector(".choices").replaceChildren(...labels.map(([set, label], number) => make("button", {
    type: "button", "data-key": choiceKey(number), onclick: () => { dialog.close(); done(set, label); },
  }, make("kbd", {}, choiceKey(number)), headline(set, label))));
  dialog.showModal();
}

function relabel() {
  if (!isShown() || !canDecide()) return;
  const finding = chosen;
  chooseLabel("What is it?", (_, label) => change(finding, { label: label === finding.label ? null : label }), (video.choices[finding.labels] ?? []).map((label) => [finding.labels, label]));
}

function add() {
  if (!isShown() || !canDecide()) return;
  const { report } = video, start_s = milliseconds(Math.min(player.timeS, Math.max(video.duration_s - 0.1, 0)));
  const span = { start_s, end_s: Math.max(milliseconds(Math.min(start_s + 2, video.duration_s)), milliseconds(start_s + 0.04)) };
  chooseLabel("What was missed?", async (labels, label) => {
    const said = await save("findings", { report, labels, label, span });
    if (!said) return;
    const added = await get(`findings/${Object.keys(said.findings)[0]}`);
    video = null;
    open(added);
  }, Object.entries(video.choices).flatMap(([set, labels]) => labels.map((label) => [set, label])));
}

const playing = (act) => (key) => { if (isShown()) act(key); };
const repeats = (act) => Object.assign(act, { repeats: true });
const rate = (key) => change(chosen, { rating: key === "0" ? null : Number(key) });
const edges = { d: ["start", -1], f: ["start", 1], g: ["end", -1], h: ["end", 1] };
const any = () => true;
const ACTIONS = [
  { keys: ["a"], words: "accept, and on to the next undecided", act: () => decide("accepted") },
  { keys: ["x"], words: "reject, and on to the next undecided", act: () => decide("rejected") },
  { keys: ["c"], words: "clear the verdict", act: () => change(chosen, { verdict: null }) },
  { keys: ["l"], words: "relabel: then the number of a label", act: relabel },
  { keys: ["1", "2", "3", "4", "5", "6"], shown: ["1", "…", "6"], words: "rate the cause", act: rate },
  { keys: ["0"], words: "clear the rating", act: rate },
  { keys: ["n"], words: "next undecided", act: () => go(1) },
  { keys: ["p"], words: "previous undecided", act: () => go(-1) },
  { keys: ["j"], words: "next in the queue", act: repeats(() => go(1, any)) },
  { keys: ["k"], words: "previous in the queue", act: repeats(() => go(-1, any)) },
  { keys: ["s"], words: "play or pause", act: playing(() => player.toggle()) },
  { keys: ["b"], words: "play the span from its start", act: playing(() => player.playSpan()) },
  { keys: ["r"], words: "repeat the span", act: playing(() => player.toggleLoop()) },
  { keys: ["-"], words: "slower", act: () => player.changeSpeed(-1) },
  { keys: ["+", "="], words: "faster", act: () => player.changeSpeed(1) },
  { keys: [","], words: "one frame back", act: repeats(playing(() => player.step(-1))) },
  { keys: ["."], words: "one frame on", act: repeats(playing(() => player.step(1))) },
  { keys: ["d", "f"], words: "start one frame earlier, later", act: repeats((key) => nudge(...edges[key], "f")) },
  { keys: ["g", "h"], words: "end one frame earlier, later", act: repeats((key) => nudge(...edges[key], "f")) },
  { keys: ["D", "F", "G", "H"], words: "the same by one second", act: repeats((key) => nudge(...edges[key.toLowerCase()], "s")) },
  { keys: ["i", "o"], words: "start, end at the playhead", act: (key) => setEdge(key === "i" ? "start" : "end", player.timeS) },
  { keys: ["m"], words: "add a missed finding at the playhead", act: add },
  { keys: ["t"], words: "mark for a change of many", act: () => chosen && queue.mark(chosen) },
  { keys: ["A"], words: "accept all that are marked", act: () => decideMarked("accepted") },
  { keys: ["X"], words: "reject all that are marked", act: () => decideMarked("rejected") },
  { keys: ["u"], words: "undo", act: () => step("undo") },
  { keys: ["y"], words: "redo", act: () => step("redo") },
  { keys: ["e"], words: "show or hide the evidence", act: () => player.toggleEvidence() },
  { keys: ["?"], words: "show these keys", act: () => byId("help").showModal() },
];

function connect() {
  const click = (id, act) => byId(id).addEventListener("click", act);
  const toggle = (verdict) => (chosen?.state.verdict === verdict ? change(chosen, { verdict: null }) : decide(verdict));
  click("accept", () => toggle("accepted"));
  click("reject", () => toggle("rejected"));
  click("accept-marked", () => decideMarked("accepted"));
  click("reject-marked", () => decideMarked("rejected"));
  click("next", () => go(1));
  click("previous", () => go(-1));
  click("relabel", relabel);
  click("add", add);
  click("undo", () => step("undo"));
  click("redo", () => step("redo"));
  click("play", () => player.toggle());
  click("from-start", () => player.playSpan());
  click("loop", () => player.toggleLoop());
  click("back", () => player.step(-1));
  click("forward", () => player.step(1));
  click("slower", () => player.changeSpeed(-1));
  click("faster", () => player.changeSpeed(1));
  click("seen", () => player.toggleEvidence());
  click("open-help", () => byId("help").showModal());
  click("open-agreement", showAgreement(async (name) => open(known.get(name) ?? await get(`findings/${name}`))));
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  for (const button of document.querySelectorAll("[data-nudge]")) {
    const [side, direction, unit] = button.dataset.nudge.split(",");
    button.addEventListener("click", () => nudge(side, Number(direction), unit));
  }
  byId("rating").querySelector("div").replaceChildren(...[1, 2, 3, 4, 5, 6].map((value) => make("button", {
    type: "button", value, "aria-pressed": "false", "aria-label": `${value} of 6`, onclick: () => change(chosen, { rating: chosen?.state.rating === value ? null : value }),
  }, value)));
  for (const side of ["start", "end"]) {
    const field = byId(side);
    field.addEventListener("change", () => {
      const timeS = seconds(field.value), bad = Number.isNaN(timeS) || (side === "start" ? timeS >= final(chosen).end_s : timeS <= final(chosen).start_s);
      field.setAttribute("aria-invalid", bad);
      if (bad) tell("refused", 0, Number.isNaN(timeS) ? `${field.value} is no time; write 12.5 or 0:12.5.` : "the end must come after the start.");
      else setEdge(side, timeS);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { field.value = clock(final(chosen)[`${side}_s`], 3); field.removeAttribute("aria-invalid"); }
      if (event.key === "Enter" || event.key === "Escape") field.blur();
    });
  }
}

/** While the folder is searched, say how far it is; what was found shows when it is wanted. */
async function watch() {
  const { progress } = await get("status").catch(() => ({ progress: null }));
  const line = byId("library");
  if (progress?.failure) line.textContent = progress.failure;
  else if (progress?.waiting) line.textContent = `Reading analyses: ${progress.waiting.toLocaleString("en")} to go`;
  else line.textContent = progress ? `${progress.reports.toLocaleString("en")} videos` : "";
  if (progress && !queue.findings.length && queue.seen !== progress.reports) {
    queue.seen = progress.reports;
    await queue.showChoices();
    await queue.load();
  }
  setTimeout(watch, progress?.running ? 1000 : 10000);
}

async function start() {
  status = await get("status");
  saver = new Saver(status.user, tell);
  connect();
  listen(ACTIONS);
  saver.work();  // what an earlier visit could not save
  document.documentElement.dataset.user = status.user;
  await Promise.all([queue.showChoices(), queue.load()]);
  show();
  watch();
}

start().catch((error) => tell("refused", 0, error.message));
