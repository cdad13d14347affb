"use strict";

// One chart for each metric, with a curve for each run and a dashed one for its validation.
// Names are set as text, so that a metric name is never parsed as markup.

const WIDTH = 400, HEIGHT = 210, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 22;
const MOST_POINTS = 600, MOST_CHARTS = 200, COLOURS = 8;
const SVG = "http://www.w3.org/2000/svg";

let runs, charts, scheduled = false;

function forget() {
  runs = new Map();    // name → {colour, batches, state}
  charts = new Map();  // title → Map(run and validation or not → [[x, y, number], …])
}

function runOf(name) {
  if (!runs.has(name)) runs.set(name, { colour: runs.size % COLOURS, batches: 0, state: "" });
  return runs.get(name);
}

function whose(message) {
  const [, name, sequence] = message.lastEventId.match(/^(.*)\/(\d+)$/);
  return [name, Number(sequence)];
}

function take(message) {
  const event = JSON.parse(message.data);
  const [name, sequence] = whose(message);
  const run = runOf(name);
  const kind = event.event ?? "epoch_end";
  if (kind === "epoch_end" && typeof event.epoch === "number") {
    run.state = `epoch ${event.epoch}`;
    addAll(name, sequence, event, event.epoch, "");
  } else if (kind === "train_batch_end") {
    run.batches += 1;
    addAll(name, sequence, event, run.batches, " by batch");
  } else if (kind === "train_end") {
    run.state += ", ended";
  } else if (kind === "exception") {
    run.state += `, failed: ${event.error}`;
  }
  drawSoon();
}

// A resumed run continues from its saved state: remove the events that it sent later.
function takeBack(message) {
  const [name, sequence] = whose(message);
  const run = runOf(name);
  run.batches = 0;
  for (const [title, curves] of charts) {
    for (const validation of [false, true]) {
      const points = curves.get(JSON.stringify([name, validation]));
      if (!points) continue;
      points.splice(0, points.length, ...points.filter((point) => point[2] < sequence));
      if (title.endsWith(" by batch") && points.length) run.batches = points[points.length - 1][0];
    }
  }
  run.state = "resumed";
  drawSoon();
}

function drawSoon() {
  if (scheduled) return;
  scheduled = true;
  setTimeout(() => { scheduled = false; draw(); }, 200);
}

function addAll(run, sequence, event, x, suffix) {
  const bad = event.non_finite ?? {};
  for (const [key, value] of Object.entries(event)) {
    if (["event", "epoch", "batch", "non_finite"].includes(key)) continue;
    if (typeof value !== "number" && !(value === null && key in bad)) continue;
    const validation = key.startsWith("val_");
    const title = (validation ? key.slice(4) : key) + suffix;
    if (!charts.has(title) && charts.size >= MOST_CHARTS) continue;
    const curves = charts.get(title) ?? charts.set(title, new Map()).get(title);
    const id = JSON.stringify([run, validation]);
    (curves.get(id) ?? curves.set(id, []).get(id)).push([x, value, sequence]);
  }
}

// Draw the lowest and the highest of each group of points, so that no peak is lost.
function thinned(points) {
  if (points.length <= MOST_POINTS) return points;
  const kept = [], stretch = Math.ceil((2 * points.length) / MOST_POINTS);
  for (let at = 0; at < points.length; at += stretch) {
    const part = points.slice(at, at + stretch).filter(([, y]) => y !== null);
    if (!part.length) { kept.push(points[at]); continue; }
    const low = part.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = part.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(low[0] <= high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

// Values closer than this show the same digits; the ticks between them could not be told apart.
function widened(low, high) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (high - low > 1e-6 * size) return [low, high];
  const pad = size * 0.1 || 1;
  return [low - pad, high + pad];
}

function ticks(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  const first = Math.ceil(low / step);
  for (let n = 0; n <= 2 * most && (first + n) * step <= high + step * 1e-6; n++) found.push((first + n) * step);
  return found;
}

function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) return value.toExponential(2).replace(/\.?0*e/, "e");
  return String(Number(value.toPrecision(4)));
}

function element(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function drawChart(title, curves) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const latest = document.createElement("span");
  caption.append(title, latest);
  figure.append(caption);
  const svg = element(figure, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });

  const finite = [...curves.values()].flat().filter(([, y]) => y !== null);
  let [low, high, first, last] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of finite) {
    low = Math.min(low, y); high = Math.max(high, y);
    first = Math.min(first, x); last = Math.max(last, x);
  }
  if (!finite.length) { latest.textContent = "never finite"; return figure; }
  [low, high] = widened(low, high);
  if (first === last) last = first + 1;
  const sx = (x) => LEFT + ((x - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const sy = (y) => TOP + ((high - y) / (high - low)) * (HEIGHT - TOP - BOTTOM);

  for (const y of ticks(low, high, 5)) {
    element(svg, "line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: sy(y), y2: sy(y) });
    element(svg, "text", { class: "tick", x: LEFT - 6, y: sy(y) + 4, "text-anchor": "end" }, number(y));
  }
  for (const x of ticks(first, last, 6).filter(Number.isInteger)) {
    element(svg, "text", { class: "tick", x: sx(x), y: HEIGHT - 6, "text-anchor": "middle" }, number(x));
  }
  for (const [id, points] of curves) {
    const [run, validation] = JSON.parse(id);
    const group = element(svg, "g", { class: `c${runOf(run).colour}` });
    let path = "", pen = "M", length = 0;
    for (const [x, y] of thinned(points)) {
      if (y === null) { pen = "M"; continue; }
      path += `${pen}${sx(x).toFixed(1)} ${sy(y).toFixed(1)}`;
      pen = "L"; length += 1;
    }
    element(group, "path", { class: validation ? "curve validation" : "curve", d: path });
    const end = points.findLast(([, y]) => y !== null);
    if (end) element(group, "circle", { class: "dot", cx: sx(end[0]), cy: sy(end[1]), r: length > 1 ? 2.6 : 3.2 });
  }
  const newest = [...runs.keys()].findLast((run) => curves.has(JSON.stringify([run, false])));
  latest.textContent = [false, true].map((validation) => {
    const points = curves.get(JSON.stringify([newest, validation]));
    if (!points) return null;
    const y = points[points.length - 1]?.[1];
    if (y === undefined) return null;
    return (validation ? "val " : "") + (y === null ? "not finite" : number(y));
  }).filter(Boolean).join(" · ");
  latest.className = newest ? `c${runs.get(newest).colour}` : "";
  return figure;
}

function draw() {
  document.getElementById("empty").hidden = runs.size > 0;
  document.getElementById("runs").replaceChildren(...[...runs].map(([name, run]) => {
    const item = document.createElement("li"), line = document.createElement("i");
    const label = document.createElement("b"), state = document.createElement("small");
    item.className = `c${run.colour}`;
    label.textContent = name.slice(0, 8);
    state.textContent = run.state;
    item.append(line, label, state);
    return item;
  }));
  const titles = [...charts.keys()].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  document.getElementById("charts").replaceChildren(...titles.map((title) => drawChart(title, charts.get(title))));
}

function rank(title) {
  return (title.endsWith(" by batch") ? 2 : 0) + (title.startsWith("loss") ? 0 : 1);
}

function show(state, text) {
  const shown = document.getElementById("state");
  shown.className = state;
  shown.textContent = text;
}

forget();
const source = new EventSource("subscribe/epoch/end/");
// The server first sends all its events, so a new connection starts from scratch.
source.onopen = () => { forget(); show("on", "connected"); draw(); };
source.onmessage = take;
source.addEventListener("rewound", takeBack);
source.onerror = () => show("off", "connection lost, trying again");
