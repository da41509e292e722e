// The queue: pages of findings, the filter, marks for changes of many at once.

import { get } from "./server.js";
import { byId, clock, final, headline, kind, make } from "./words.js";

export class Queue {
  constructor({ open }) {
    this.open = open;
    this.findings = [];
    this.rows = new Map();
    this.marked = new Set();
    this.after = null;
    this.filter = { undecided: false };
    this.form = document.querySelector("#filters form");
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", (event) => {
      if (event.target.tagName === "SELECT") event.target.blur();  // so that keys decide again
      this.load();
    });
    byId("more").addEventListener("click", () => this.more());
    byId("unmark").addEventListener("click", () => this.unmark());
  }

  async showChoices() {
    const choices = await get("choices");
    const fill = (name, options) => {
      const select = this.form.elements[name], value = select.value;
      select.replaceChildren(make("option", { value: "" }, "all"), ...options);
      select.value = value;
    };
    fill("label", Object.entries(choices.labels).flatMap(([set, labels]) =>
      Object.entries(labels).map(([label, count]) => make("option", { value: JSON.stringify([set, label]) }, `${headline(set, label)} (${count})`))));
    fill("folder", Object.entries(choices.folders).map(([folder, count]) => make("option", { value: folder }, `${folder} (${count})`)));
  }

  wanted() {
    const { elements } = this.form, number = (field) => {
      const value = Number(field.value.replace(",", ".")), fits = field.value === "" || (value >= 0 && value <= 1);
      field.setAttribute("aria-invalid", !fits);
      return fits && field.value !== "" ? value : null;
    };
    const [labels, label] = elements.label.value ? JSON.parse(elements.label.value) : [];
    return {
      labels, label, folder: elements.folder.value, min_score: number(elements.min_score), max_score: number(elements.max_score),
      undecided: elements.undecided.checked, warned: elements.warned.checked,
    };
  }

  /** The first page of what the filter lets through. */
  async load() {
    const turn = this.turn = (this.turn ?? 0) + 1, page = await get("queue", this.wanted());
    if (turn !== this.turn) return;
    this.findings = [];
    this.rows.clear();
    this.unmark();
    this.total = page.total;
    this.left = page.undecided;
    byId("list").replaceChildren();
    this.take(page);
    if (this.findings.length) this.open(this.findings[0]);
  }

  async more() {
    if (this.loading || this.after === null) return this.loading;
    const turn = this.turn;
    this.loading = get("queue", { ...this.wanted(), after: this.after }).then((page) => { if (turn === this.turn) this.take(page); }).finally(() => { this.loading = null; });
    return this.loading;
  }

  take(page) {
    this.after = page.after;
    this.findings.push(...page.findings);
    byId("list").append(...page.findings.map((finding) => this.row(finding)));
    byId("more").hidden = this.after === null;
    byId("nothing").hidden = this.findings.length > 0;
    this.count();
  }

  count() {
    byId("counts").textContent = `${this.total.toLocaleString("en")} finding${this.total === 1 ? "" : "s"}, ${this.left.toLocaleString("en")} undecided`;
  }

  row(finding) {
    const parts = {
      mark: make("span", { class: "mark", "aria-hidden": "true" }), what: make("span", { class: "what" }), verdict: make("span", { class: "verdict" }), place: make("span", { class: "place" }),
    };
    const check = make("input", { type: "checkbox", "aria-label": "Mark this finding", onchange: () => this.mark(finding, check.checked) });
    const button = make("button", { type: "button", class: "open", onclick: () => this.open(finding) }, parts.mark, parts.what, parts.verdict, parts.place);
    const node = make("li", {}, check, button);
    this.rows.set(finding.finding, { node, button, check, parts, finding });
    this.refresh(finding);
    return node;
  }

  /** Show a row as its finding is now. */
  refresh(finding, pending = false) {
    const row = this.rows.get(finding.finding);
    if (!row) return;
    const now = final(finding), { verdict, rating } = finding.state;
    row.node.className = `${verdict ?? ""} ${kind(finding.labels, now.label)} ${pending ? "pending" : ""}`;
    row.parts.what.textContent = headline(finding.labels, now.label);
    row.parts.verdict.textContent = `${verdict === "accepted" ? "✓ accepted" : verdict === "rejected" ? "✗ rejected" : finding.score.toFixed(2)}${rating ? ` · ${rating}/6` : ""}`;
    row.parts.place.textContent = `${clock(now.start_s)} · ${finding.video}`;
    row.parts.place.title = finding.video;
  }

  choose(finding) {
    for (const { button } of this.rows.values()) button.removeAttribute("aria-current");
    const row = this.rows.get(finding?.finding), list = byId("list");
    if (!row) return;
    row.button.setAttribute("aria-current", "true");
    if (list.scrollHeight > list.clientHeight + 2) {
      const top = row.node.offsetTop - list.offsetTop;
      if (top < list.scrollTop || top + row.node.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
    }
  }

  /** The next finding in a direction that fits, further pages included; null at the end. */
  async next(from, step, fits) {
    let at = this.findings.findIndex((finding) => finding.finding === from?.finding) + step;
    if (step < 0 && at === -2) at = -1;
    for (;; at += step) {
      if (at >= this.findings.length && this.after !== null) await this.more();
      const found = this.findings[at];
      if (!found) return null;
      if (fits(found)) return found;
    }
  }

  mark(finding, marked = !this.marked.has(finding.finding)) {
    const row = this.rows.get(finding.finding);
    if (!row) return;
    if (marked) this.marked.add(finding.finding); else this.marked.delete(finding.finding);
    row.check.checked = marked;
    byId("bulk").hidden = this.marked.size === 0;
    byId("marked").textContent = `${this.marked.size} marked`;
  }

  unmark() {
    for (const name of [...this.marked]) {
      if (this.rows.has(name)) this.mark(this.rows.get(name).finding, false);
    }
    this.marked.clear();
    byId("bulk").hidden = true;
  }
}
