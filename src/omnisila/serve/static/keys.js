// The keys: plain letters, digits and signs. Nothing with Ctrl, Alt or Meta, no arrows, space or tab: those are the browser's.

import { byId, make } from "./words.js";

/** Call what belongs to a key, unless somebody is typing or a dialog is open. */
export function listen(actions) {
  const byKey = new Map(actions.flatMap((action) => action.keys.map((key) => [key, action.act])));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || isTyping(event.target)) return;
    const open = document.querySelector("dialog[open]");
    if (open) {
      open.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
      return;
    }
    const act = byKey.get(event.key);
    if (!act || (event.repeat && !act.repeats)) return;
    event.preventDefault();
    act(event.key);
  });
  byId("help").querySelector("dl").replaceChildren(...actions.map((action) => make("div", {},
    make("dt", {}, ...(action.shown ?? action.keys).flatMap((key, k) => [k ? " " : "", make("kbd", {}, key)])), make("dd", {}, action.words))));
}

function isTyping(target) {
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target.tagName === "INPUT" && !["checkbox", "radio", "button", "range"].includes(target.type);
}

/** The names of choices in a dialog: 1 to 9, then letters. */
export const choiceKey = (number) => "123456789abcdefghijklmnopqrstuvwxyz"[number] ?? "";
