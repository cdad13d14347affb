// What is shown and how: kept in the address, so that a link shows the same to others.

const DEFAULTS = {
  x: "step", kind: "epoch", smooth: 0, find: "", metrics: "", sort: "newest", flip: false, zoom: [],
  hide: [], show: [], log: [], wide: [], run: "", compare: [],
};
const listeners = [];

function read() {
  const query = new URLSearchParams(location.hash.slice(1)), found = {};
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const text = query.get(name);
    if (Array.isArray(value)) found[name] = query.getAll(name);
    else if (typeof value === "number") found[name] = Math.min(0.99, Math.max(0, Number(text) || 0));
    else found[name] = typeof value === "boolean" ? text === "true" : text ?? value;
  }
  found.zoom = found.zoom.map(Number);
  if (found.zoom.length !== 2 || !(found.zoom[0] < found.zoom[1])) found.zoom = [];
  if (!["step", "epoch", "relative", "time"].includes(found.x)) found.x = "step";
  if (found.kind !== "batch") found.kind = "epoch";
  return found;
}

export const view = read();

/** Change the view and the address, and tell the rest of the page. */
export function change(parts) {
  Object.assign(view, parts);
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) {
    if (Array.isArray(value)) value.forEach((each) => query.append(name, each));
    else if (value !== DEFAULTS[name]) query.set(name, value);
  }
  history.replaceState(null, "", `#${query}`);
  listeners.forEach((listener) => listener());
}

/** Return a list with an item added, or taken away if it is there. */
export const flipped = (list, item) => (list.includes(item) ? list.filter((each) => each !== item) : [...list, item]);

export function onChange(listener) {
  listeners.push(listener);
}

window.addEventListener("hashchange", () => {
  Object.assign(view, read());
  listeners.forEach((listener) => listener());
});
