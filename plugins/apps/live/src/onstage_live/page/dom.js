// Elements and texts. What comes from a run is only ever set as text.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = ["value", "checked", "disabled", "hidden", "open"];

export const find = (id) => document.getElementById(id);

/** Make an element: attributes, properties and listeners (`onclick`) by name, then children. */
export function h(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.includes(name)) node[name] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Make an icon of those in page.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export function button(label, symbol, onclick, settings = {}) {
  return h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick, ...settings }, icon(symbol));
}

/** Set a text only if it changed: a screen reader stays quiet, a selection stays. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Return a value with so many significant digits. */
export function number(value, digits = 5) {
  if (value === null || value === undefined) return "not finite";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(digits - 1).replace(/\.?0*e\+?/, "e");
  return String(Number(value.toPrecision(Number.isInteger(value) ? 15 : digits)));
}

/** Return seconds as text, with two units at most. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds)), both = (large, small) => (small.startsWith("0") ? large : `${large} ${small}`);
  if (s < 60) return `${s}s`;
  if (s < 3600) return both(`${Math.floor(s / 60)}m`, `${s % 60}s`);
  if (s < 86400) return both(`${Math.floor(s / 3600)}h`, `${Math.floor((s % 3600) / 60)}m`);
  return both(`${Math.floor(s / 86400)}d`, `${Math.floor((s % 86400) / 3600)}h`);
}

export const ago = (unix) => `${duration(Date.now() / 1000 - unix).split(" ")[0]} ago`;

export const clock = (unix) => new Date(unix * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Return round numbers between two others, `most` at most; with `log` the powers of ten. */
export function ticks(low, high, most, log = false) {
  const found = [];
  if (log) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const stride = Math.max(1, Math.ceil((last - first + 1) / most));
    const parts = stride > 1 || last - first > 2 ? [1] : [1, 2, 5];
    for (let power = first - 1; power <= last; power += stride) {
      for (const part of parts) {
        const value = Number(`${part}e${power}`);
        if (value >= low && value <= high) found.push(value);
      }
    }
    if (found.length > 1) return found;
    found.length = 0;
  }
  const rough = (high - low) / Math.max(1, most), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  // Counted, not added up: next to a large value a small step could add nothing, without end.
  const first = Math.ceil(low / step - 1e-6);
  for (let n = 0; n <= most + 1 && (first + n) * step <= high + step * 1e-6; n++) found.push((first + n) * step);
  return found;
}

/** Return the texts of ticks, with as many digits as tell them apart. */
export function tickTexts(values) {
  const step = values.length > 1 ? Math.min(...values.slice(1).map((value, n) => Math.abs(value - values[n]))) : Infinity;
  const largest = Math.max(...values.map(Math.abs));
  const digits = Number.isFinite(step) && step > 0 ? Math.ceil(Math.log10(largest / step)) + 1 : 3;
  return values.map((value) => number(value, Math.min(Math.max(digits, 3), 12)));
}

/** Return a function that runs `work` soon, never twice at a time, at most three quarters of the time, not in a hidden tab. */
export function paced(work, pause) {
  let wanted = false, busy = false;
  const run = async () => {
    if (busy || !wanted || document.hidden) return;
    [busy, wanted] = [true, false];
    const begun = performance.now();
    await work().catch((error) => console.warn(error));
    setTimeout(() => { busy = false; run(); }, Math.max(pause, (performance.now() - begun) / 3));
  };
  document.addEventListener("visibilitychange", run);
  return () => { wanted = true; run(); };
}
