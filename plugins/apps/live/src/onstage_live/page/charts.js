// All charts: which there are, their curves, the common x axis.

import { csv, series } from "./api.js";
import { Chart, LARGEST, widened } from "./chart.js";
import { find, h, paced } from "./dom.js";
import { colourOf, shownRuns } from "./runs.js";
import { change, flipped, view } from "./view.js";

const HEAD = 2, FEW = 3;
const charts = new Map();  // name → Chart
let curves = {};           // metric → id → curve of the server

const base = (metric) => (metric.startsWith("val_") ? metric.slice(4) : metric);
const rank = (name) => (name === "loss" ? 0 : /learning_rate|(^|_)lr$/.test(name) ? 2 : name.includes("/") ? 3 : 1);

const visible = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const chart = charts.get(target.dataset.metric);
    if (chart) chart.seen = isIntersecting;
  }
  refresh();
}, { rootMargin: "100px" });

export function highlight(run) {
  if (highlight.run === run) return;
  highlight.run = run;
  document.querySelectorAll("#runs li").forEach((row) => row.classList.toggle("near", row.dataset.run === run));
  charts.forEach((chart) => chart.seen && chart.highlight(run));
}
highlight.run = null;

function zoom([low, high]) {
  // Narrower than the digits of its numbers, an axis has no positions left.
  if (high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high))) change({ zoom: [low, high] });
}

function make(name) {
  const chart = new Chart(name, {
    toggleLog: () => change({ log: flipped(view.log, name) }),
    toggleWide: () => change({ wide: flipped(view.wide, name) }),
    picture: () => savePicture(chart),
    near: highlight,
    zoom,
    reset: () => change({ zoom: [] }),
  });
  charts.set(name, chart);
  visible.observe(chart.figure);
  return chart;
}

/** Show a chart for each metric of the shown runs. */
export function arrange() {
  const runs = shownRuns(), terms = view.metrics.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...new Set(runs.flatMap((run) => run.metrics.map(({ name }) => base(name))))];
  const names = found.filter((name) => terms.every((term) => name.toLowerCase().includes(term)));
  names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b, "en", { numeric: true }));
  for (const [name, chart] of charts) {
    if (names.includes(name)) continue;
    visible.unobserve(chart.figure);
    chart.close();
    chart.figure.remove();
    charts.delete(name);
  }
  const figures = names.map((name) => (charts.get(name) ?? make(name)).figure), grid = find("charts");
  if (figures.some((figure, at) => figure !== grid.children[at])) grid.replaceChildren(...figures);
  const ids = runs.map(({ id }) => id);
  for (const [name, chart] of charts) {
    chart.figure.classList.toggle("wide", view.wide.includes(name));
    chart.csv.href = csv(ids, [name, `val_${name}`], view.kind);
  }
  find("reset").hidden = !view.zoom.length;
}

/** Return which kind of values a run has of a metric: the one asked for, or the other. */
function kindOf(run, metric) {
  const kinds = run.metrics.find(({ name }) => name === metric)?.kinds ?? [];
  // Validation of batches is a detail; of epochs it is the result.
  const wanted = metric.startsWith("val_") ? "epoch" : view.kind;
  return kinds.includes(wanted) ? wanted : kinds[0];
}

async function load() {
  const runs = shownRuns(), seen = [...charts.values()].filter((chart) => chart.seen);
  const width = Math.max(200, ...seen.map((chart) => chart.body.clientWidth));
  // A bucket every 2 pixels or more: the mean and its band are clear where single values would be a blot.
  const settings = { x: view.x, pixels: Math.round(width / Math.max(3, Math.min(6, runs.length / 2))) };
  if (view.zoom.length) Object.assign(settings, { from: view.zoom[0], to: view.zoom[1] });
  const wanted = new Map();  // kind → [ids, metrics]
  const metrics = seen.flatMap(({ name }) => [name, `val_${name}`]);
  for (const run of runs) {
    for (const metric of metrics) {
      const kind = kindOf(run, metric);
      if (!kind) continue;
      const [ids, names] = wanted.get(kind) ?? wanted.set(kind, [new Set(), new Set()]).get(kind);
      ids.add(run.id);
      names.add(metric);
    }
  }
  const answers = {};
  await Promise.all([...wanted].map(async ([kind, [ids, names]]) => {
    answers[kind] = await series([...ids], [...names], { ...settings, kind });
  }));
  const found = {};
  for (const metric of metrics) {
    found[metric] = {};
    for (const run of runs) {
      const curve = answers[kindOf(run, metric)]?.[metric]?.[run.id];
      if (curve?.x.length) found[metric][run.id] = curve;
    }
  }
  curves = { ...curves, ...found };
  redraw();
}

export const refresh = paced(load, 50);

function extent(runs) {
  if (view.zoom.length) return view.zoom;
  let low = Infinity, high = -Infinity;
  for (const name of charts.keys()) {
    for (const run of runs) {
      for (const metric of [name, `val_${name}`]) {
        const x = curves[metric]?.[run.id]?.x;
        if (x) { low = Math.min(low, x[0]); high = Math.max(high, x[x.length - 1]); }
      }
    }
  }
  return high - low > 1e-9 * Math.abs(high) ? [low, high] : widened(low, high);
}

/** Return the exponential moving average, corrected for its start at zero (Kingma and Ba, 2015, section 3). */
function smoothed(values, weight) {
  let mean = 0, part = 1;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    part *= weight;
    return mean / (1 - part);
  });
}

const bounded = (value) => Math.min(LARGEST, Math.max(-LARGEST, value));

function dotsOf(y) {
  const few = y.length <= FEW, dots = [];
  y.forEach((value, n) => {
    if (value !== null && (few || n === y.length - 1 || ((y[n - 1] ?? null) === null && (y[n + 1] ?? null) === null))) dots.push(n);
  });
  return dots;
}

function linesOf(chart, runs, log) {
  const lines = [];
  for (const run of runs) {
    for (const validation of [false, true]) {
      const metric = validation ? `val_${chart.name}` : chart.name, curve = curves[metric]?.[run.id];
      if (!curve) continue;
      const usable = curve.y.map((value) => (value === null || (log && !(value > 0)) ? null : bounded(value)));
      const line = { run: run.id, name: run.name, colour: colourOf(run), validation, last: run.last[metric], x: curve.x, y: curve.y };
      if (view.smooth > 0 && !chart.logByDefault) {
        lines.push({ ...line, drawn: usable, dots: [], raw: true });
        lines.push({ ...line, drawn: smoothed(usable, view.smooth), dots: [], smooth: true });
      } else {
        const spread = runs.length <= 8 && curve.min?.some((low, n) => low !== curve.max[n]);
        lines.push({ ...line, drawn: usable, dots: runs.length > 8 ? [] : dotsOf(usable), ...(spread ? { min: curve.min.map(bounded), max: curve.max.map(bounded) } : {}) });
      }
    }
  }
  return lines;
}

/** Draw the charts in view, without asking the server. */
export function redraw() {
  const runs = shownRuns(), limits = extent(runs);
  for (const chart of charts.values()) {
    if (!chart.seen) continue;
    const log = chart.logByDefault !== view.log.includes(chart.name);
    chart.draw(linesOf(chart, runs, log), { x: view.x, log, limits });
    if (highlight.run !== null) chart.highlight(highlight.run);
  }
}

/** Save a chart as PNG, with its title and the names of its runs. */
function savePicture(chart) {
  const plot = chart.plot?.ctx.canvas, style = getComputedStyle(document.body), ratio = devicePixelRatio;
  if (!plot) return;
  const lines = chart.curves.filter((curve) => !curve.raw && !curve.validation).slice(0, 30);
  const picture = h("canvas"), row = 18 * ratio;
  picture.width = plot.width + 2 * row;
  picture.height = plot.height + (lines.length + HEAD + 1) * row;
  const pen = picture.getContext("2d");
  pen.fillStyle = style.getPropertyValue("--card");
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.fillStyle = style.getPropertyValue("--ink");
  pen.font = `600 ${14 * ratio}px system-ui`;
  pen.fillText(chart.name, row, 1.5 * row);
  pen.drawImage(plot, row, HEAD * row);
  pen.font = `${12 * ratio}px system-ui`;
  lines.forEach((curve, at) => {
    const y = plot.height + (HEAD + 0.8 + at) * row;
    pen.fillStyle = curve.colour;
    pen.fillRect(row, y - 5 * ratio, row, 3 * ratio);
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.fillText(curve.name, 2.5 * row, y);
  });
  picture.toBlob((blob) => {
    const link = h("a", { href: URL.createObjectURL(blob), download: `${chart.name.replace(/[^\w.-]+/g, "_").slice(0, 80)}.png` });
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
