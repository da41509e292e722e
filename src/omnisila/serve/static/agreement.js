// How alike people decide, and where they do not.

import { get } from "./server.js";
import { byId, clock, make } from "./words.js";

const number = (value) => (value === null ? "–" : value.toFixed(2));

/** What the button does: the figures and the findings that people differ about; ``open`` shows one. */
export function showAgreement(open) {
  return async () => {
    const dialog = byId("agreement"), said = await get("agreement");
    const line = (name, { alpha, items, note }) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, number(alpha)), make("td", {}, items), make("td", {}, note ?? ""));
    const head = (...names) => make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))));
    const differ = said.disagreements.map((found) => make("tr", {},
      make("td", {}, make("button", { type: "button", onclick: () => { dialog.close(); open(found.finding); } }, `${found.label}, ${clock(found.start_s)}`)),
      make("td", {}, found.video), make("td", {}, ...found.says.flatMap((text) => [text, make("br")]))));
    dialog.querySelector("div").replaceChildren(
      make("p", { class: "soft small" }, `${said.users.length} ${said.users.length === 1 ? "person has" : "people have"} decided. Krippendorff's alpha is 1 for full agreement and 0 for what chance gives.`),
      make("table", {}, head("", "alpha", "findings", ""), make("tbody", {}, line("Verdict", said.verdict), line("Rating of the cause", said.rating))),
      differ.length ? make("table", {}, head("Differ about", "in", "said"), make("tbody", {}, ...differ)) : make("p", { class: "small" }, "No finding that people differ about."),
    );
    dialog.showModal();
  };
}
