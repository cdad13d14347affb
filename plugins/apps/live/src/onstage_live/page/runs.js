// The runs as the server lists them, their colours and order.

import { view } from "./view.js";

const COLOURS = 12, NEWEST = 50;
export const STATES = { running: "▶", finished: "✓", stopped: "■", failed: "✕", silent: "…" };

let runs = new Map(), order = [], steer = false;

export function setRuns(answer) {
  steer = answer.steer;
  order = [...answer.runs].sort((a, b) => a.started - b.started || a.id.localeCompare(b.id));
  runs = new Map(order.map((run, at) => [run.id, { ...run, place: at }]));
}

export const allRuns = () => [...runs.values()];
export const runOf = (id) => runs.get(id);
export const maySteer = () => steer;

export function colourOf(run) {
  const chosen = /^#[0-9a-f]{6}$/i.test(run.colour ?? "") ? run.colour : null;
  return chosen ?? getComputedStyle(document.documentElement).getPropertyValue(`--c${run.place % COLOURS}`).trim();
}

function words(run) {
  const params = Object.entries(run.params).map(([name, value]) => `${name}=${value}`);
  return [run.name, run.id, run.state, run.why, run.model, run.note, run.host, ...params].join(" ").toLowerCase();
}

export const mainMetric = (run) => ["val_loss", "loss"].find((name) => run.best[name]) ?? Object.keys(run.best)[0];

const KEYS = {
  newest: (run) => -run.started,
  name: (run) => run.name.toLowerCase(),
  state: (run) => Object.keys(STATES).indexOf(run.state),
  progress: (run) => -(run.epochs ? run.epoch / run.epochs : 0),
};

/** Return the runs that match what is searched for, in the order asked for, pinned ones first. */
export function listedRuns() {
  const terms = view.find.toLowerCase().split(/\s+/).filter(Boolean);
  const metric = view.sort.startsWith("best ") ? view.sort.slice(5) : null;
  const key = metric ? (run) => run.best[metric]?.value ?? Infinity : KEYS[view.sort] ?? KEYS.newest;
  const found = allRuns().filter((run) => { const text = words(run); return terms.every((term) => text.includes(term)); });
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  found.sort((a, b) => b.pinned - a.pinned || (view.flip ? -1 : 1) * compare(key(a), key(b)) || b.place - a.place);
  return found;
}

/** Return whether a run has curves: the newest ones do, and pinned ones, unless hidden. */
export function isShown(run) {
  if (view.hide.includes(run.id)) return false;
  return run.pinned || run.place >= order.length - NEWEST || view.show.includes(run.id);
}

export const shownRuns = () => listedRuns().filter(isShown).sort((a, b) => a.place - b.place);

/** Return the names of all best values, to sort by. */
export const bestNames = () => [...new Set(allRuns().flatMap((run) => Object.keys(run.best)))].sort().slice(0, 40);
