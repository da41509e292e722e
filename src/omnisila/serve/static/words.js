// Times and small pieces of the page.

export const byId = (id) => document.getElementById(id);

/** An element with attributes, properties (those that start with a dot) and children; text is always text. */
export function make(tag, given = {}, ...children) {
  const svg = ["svg", "path", "rect", "line", "circle", "text", "g"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith(".")) node[name.slice(1)] = value;
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** 1:02:03.456, or 2:03.456. */
export function clock(timeS, digits = 1) {
  const scale = 10 ** digits, total = Math.round(timeS * scale), whole = Math.floor(total / scale);
  const two = (n) => String(n).padStart(2, "0"), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = digits ? `.${String(total % scale).padStart(digits, "0")}` : "";
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}${rest}`;
}

/** Seconds from 12.5, 0:12.5 or 1:02:03; NaN for anything else. */
export function seconds(text) {
  const parts = text.trim().replace(",", ".").split(":");
  if (parts.length > 3 || !parts.every((part) => /^\d+(\.\d*)?$|^\.\d+$/.test(part))) return NaN;
  return parts.reduce((total, part) => total * 60 + Number(part), 0);
}

export const milliseconds = (timeS) => Math.round(timeS * 1000) / 1000;

/** What a finding is now, by the person's word where there is one. */
export function final(finding) {
  const { state } = finding, own = state.start_s !== null;
  return { label: state.label ?? finding.label, start_s: own ? state.start_s : finding.start_s, end_s: own ? state.end_s : finding.end_s };
}

export function headline(labels, label) {
  return labels === "explicit" ? `${label[0].toUpperCase()}${label.slice(1)} sentiment` : label;
}

export const kind = (labels, label) => (labels !== "explicit" ? "event" : label === "positive" ? "positive" : "negative");
