// One chart: a metric of all shown runs, training and validation.

import { button, duration, h, number, put, ticks, tickTexts } from "./dom.js";

const { linear, stepped, points } = uPlot.paths;
const NARROW = 1e-9, EDGE = 8.5e307, POINTS = 16;
/** Values beyond it are drawn there: the difference of two must be finite. */
export const LARGEST = 8e307;
const RATE = /(^|_)(lr|learning_rate)$/;

/** Return the words for a position on the x axis. */
export function position(x, value) {
  if (x === "relative") return duration(value);
  if (x === "time") return new Date(value * 1000).toLocaleString();
  return `${x} ${number(value, 6)}`;
}

/** Return limits that differ enough to be drawn, and whose difference is finite. */
export function widened(low, high, log = false) {
  if (!(low <= high)) return log ? [0.1, 1] : [0, 1];
  if (log) return low * (1 + NARROW) < high ? [low * 0.9, Math.min(high * 1.1, EDGE)] : [low / 2, Math.min(high * 2, EDGE)];
  const size = Math.max(Math.abs(low), Math.abs(high)), space = high - low;
  const pad = space > NARROW * size ? 0.06 * space : 0.1 * size || 1;
  return [Math.max(low - pad, -EDGE), Math.min(high + pad, EDGE)];
}

function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1; else high = middle;
  }
  return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
}

export class Chart {
  /** `actions`: toggleLog, toggleWide, picture, zoom, reset, near, csv. */
  constructor(name, actions) {
    Object.assign(this, { name, actions, curves: [], key: "", plot: null, seen: false, logByDefault: RATE.test(name) });
    this.values = h("span", { class: "latest" });
    this.logButton = h("button", { type: "button", class: "quiet", title: "Log axis", "aria-label": `Log axis, ${name}`, onclick: actions.toggleLog }, "log");
    this.csv = h("a", { class: "quiet button", title: "Download CSV", "aria-label": `Download CSV, ${name}`, download: "" });
    this.csv.append(button("", "table").firstChild);
    this.tip = h("div", { class: "tip", hidden: true });
    this.body = h("div", { class: "plot", tabindex: 0, role: "img", onkeydown: (event) => this.press(event), onblur: () => this.leave() });
    this.figure = h("figure", {},
      h("figcaption", {}, h("h2", { title: name }, name), this.values, this.logButton,
        button(`Save picture, ${name}`, "picture", actions.picture), this.csv, button(`Full width, ${name}`, "wide", actions.toggleWide)),
      this.body);
    this.figure.dataset.metric = name;
  }

  /** Draw curves: `{run, name, colour, validation, last, x, y, drawn, raw, min, max, dots}`. */
  draw(curves, { x, log, limits }) {
    this.curves = curves;
    this.settings = { x, log, limits };
    this.logButton.setAttribute("aria-pressed", log);
    this.summarize();
    const key = JSON.stringify([x, log, document.documentElement.dataset.theme, curves.map((curve) => [curve.run, curve.colour, curve.validation, curve.raw])]);
    const data = [null, ...curves.map((curve) => [curve.x, curve.drawn])];
    if (this.plot && key === this.key) return this.plot.setData(data);
    this.close();
    this.key = key;
    if (curves.length) this.open(data);
  }

  summarize() {
    const shown = this.curves.filter((curve) => !curve.raw), newest = shown.at(-1)?.run;
    const parts = shown.filter((curve) => curve.run === newest).map((curve) => (curve.validation ? "val " : "") + number(curve.last));
    put(this.values, parts.join(" · "));
    this.values.style.color = shown.at(-1)?.colour ?? "";
    const lines = shown.slice(0, 20).map((curve) => `${curve.name}${curve.validation ? " validation" : ""} ${number(curve.last)}`);
    this.body.setAttribute("aria-label", `${this.name}, last values: ${lines.join("; ")}. Arrow keys move the crosshair, plus and minus zoom.`);
  }

  open(data) {
    const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
    const { x, log } = this.settings;
    const axis = {
      stroke: colour("--soft"), font: "11px system-ui", grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false },
    };
    // Any step counts as found: uPlot's own search for one does not end well for values a ulp apart or near 1e308.
    const own = { incrs: () => [Infinity], filter: (_, splits) => splits };
    this.plot = new uPlot({
      mode: 2, width: this.body.clientWidth, height: this.body.clientHeight, padding: [10, 12, 0, 0], legend: { show: false },
      scales: {
        x: { time: x === "time", range: () => this.settings.limits },
        y: { distr: log ? 3 : 1, range: () => this.range() },
      },
      axes: [
        { ...axis, size: x === "time" ? 40 : 26, ...(x === "time" ? {} : {
          ...own, splits: (u, _, low, high) => ticks(low, high, Math.floor(u.bbox.width / devicePixelRatio / 70)),
          values: (_, splits) => (x === "relative" ? splits.map(duration) : tickTexts(splits)),
        }) },
        { ...axis, ...own, size: 54, gap: 4, splits: (u, _, low, high) => ticks(low, high, 6, log), values: (_, splits) => tickTexts(splits) },
      ],
      series: [null, ...this.curves.map((curve, at) => this.line(curve, at))],
      cursor: {
        y: false, drag: { x: true, setScale: false, dist: 4 }, sync: { key: "charts", scales: ["x", null] },
        points: { show: this.curves.length <= POINTS, size: 8 },
        dataIdx: (u, at) => this.indexAt(at - 1, u.posToVal(u.cursor.left, "x")),
        bind: { dblclick: () => () => this.actions.reset() },
      },
      hooks: { setCursor: [() => this.tell()], setSelect: [(u) => this.select(u)] },
    }, data, this.body);
    this.plot.over.append(this.tip);
    this.sized = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = this.body;
      if (width && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
    });
    this.sized.observe(this.body);
  }

  line(curve, at) {
    const path = this.logByDefault ? stepped({ align: 1 }) : linear();
    return {
      stroke: curve.colour, fill: `${curve.colour}22`, width: curve.raw ? 1 : 1.75, alpha: curve.raw ? 0.3 : 1,
      dash: curve.validation ? [6, 4] : undefined,
      paths: (u, n, first, last) => {
        const made = path(u, n, first, last);
        if (made) made.fill = this.band(u, this.curves[at]);
        return made;
      },
      points: { show: !curve.raw, size: 5, width: 0, fill: curve.colour, paths: points(), filter: () => this.curves[at].dots },
    };
  }

  band(u, { x, drawn, min, max }) {
    if (!min) return null;
    const path = new Path2D(), low = this.settings.log ? u.scales.y.min : -Infinity;
    const point = (n, y) => path.lineTo(u.valToPos(x[n], "x", true), u.valToPos(Math.max(y, low), "y", true));
    for (let from = 0; from < x.length; from++) {
      let to = from;
      while (to < x.length && drawn[to] !== null) to++;
      for (let n = from; n < to; n++) n === from ? path.moveTo(u.valToPos(x[n], "x", true), u.valToPos(Math.max(max[n], low), "y", true)) : point(n, max[n]);
      for (let n = to - 1; n >= from; n--) point(n, min[n]);
      from = to;
    }
    return path;
  }

  range() {
    let low = Infinity, high = -Infinity;
    for (const { drawn, min, max, raw } of this.curves) {
      if (raw) continue;
      for (let n = 0; n < drawn.length; n++) {
        if (drawn[n] === null) continue;
        const below = min && (!this.settings.log || min[n] > 0) ? min[n] : drawn[n], above = max ? max[n] : drawn[n];
        if (below < low) low = below;
        if (above > high) high = above;
      }
    }
    return widened(low, high, this.settings.log);
  }

  indexAt(at, x) {
    const { x: xs, raw } = this.curves[at], [low, high] = this.settings.limits, margin = (high - low) * 0.02;
    if (raw || !xs.length || x < xs[0] - margin || x > xs[xs.length - 1] + margin) return null;
    return nearest(xs, x);
  }

  /** Show the values at the crosshair: the curves nearest to the pointer, the largest value first. */
  tell() {
    const u = this.plot, { left, top } = u.cursor, hovered = this.body.matches(":hover, :focus");
    const found = left < 0 ? [] : this.curves.map((curve, at) => ({ curve, index: u.cursor.idxs[at + 1] })).filter(({ index }) => index !== null && index !== undefined);
    this.tip.hidden = !found.length;
    if (!found.length) return hovered || this.actions.near(null);
    for (const each of found) {
      each.value = each.curve.drawn[each.index];
      each.far = each.value === null ? Infinity : Math.abs(u.valToPos(each.value, "y") - top);
      // Elsewhere the pointer's height means nothing: the run that is pointed at comes first.
      if (!hovered) each.far = each.curve.run === this.marked ? 0 : 1;
    }
    found.sort((a, b) => a.far - b.far);
    const near = hovered && found[0].far < 24 ? found[0].curve : null, most = hovered ? 10 : 4;
    if (hovered) this.actions.near(near?.run ?? null);
    const rows = found.slice(0, most).sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity)).map(({ curve, index, value }) => {
      const mark = h("i", { class: curve.validation ? "mark dashed" : "mark" }), raw = curve.y[index];
      mark.style.color = curve.colour;
      const text = curve.smooth && value !== null ? `${number(value)} (${number(raw)})` : number(raw);
      return h("tr", { class: curve === near ? "near" : null }, h("td", {}, mark), h("td", {}, curve.validation ? `${curve.name}, val` : curve.name), h("td", { "data-value": raw }, text));
    });
    const x = found[0].curve.x[found[0].index], more = found.length > most ? `${found.length - most} more` : "";
    this.tip.replaceChildren(h("b", {}, position(this.settings.x, x)), h("table", {}, ...rows), more);
    const half = u.over.clientWidth / 2;
    Object.assign(this.tip.style, left < half ? { left: `${left + 14}px`, right: "auto" } : { right: `${2 * half - left + 14}px`, left: "auto" });
    this.tip.setAttribute("aria-live", hovered ? "polite" : "off");
  }

  select(u) {
    const { left, width } = u.select;
    if (width < 4) return;
    const limits = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    if (this.body.matches(":hover")) this.actions.zoom(limits);
  }

  press(event) {
    const u = this.plot, moves = { ArrowLeft: -1, ArrowRight: 1, "+": 0.5, "-": 2 }, move = moves[event.key];
    if (!u) return;
    if (event.key === "Escape" || event.key === "0") return this.actions.reset();
    if (!move || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const width = u.over.clientWidth, left = u.cursor.left < 0 ? width / 2 : u.cursor.left;
    if (event.key.startsWith("Arrow")) {
      const to = left + move * (event.shiftKey ? 40 : 8);
      return u.setCursor({ left: Math.min(width, Math.max(0, to)), top: u.over.clientHeight / 2 }, true, true);
    }
    const [low, high] = this.settings.limits, middle = u.posToVal(left, "x"), half = ((high - low) / 2) * move;
    this.actions.zoom([middle - half, middle + half]);
  }

  leave() {
    this.plot?.setCursor({ left: -10, top: -10 }, true, true);
  }

  /** Draw one run strongly and the others faintly; all alike for null. */
  highlight(run) {
    this.marked = run;
    if (!this.plot) return;
    if (!this.curves.some((curve) => curve.run === run)) run = null;
    const faint = this.curves.length > POINTS ? 0.06 : 0.15;
    this.curves.forEach((curve, at) => {
      const series = this.plot.series[at + 1], other = run !== null && curve.run !== run;
      series.alpha = (other ? faint : 1) * (curve.raw ? 0.3 : 1);
      series.width = curve.raw ? 1 : run === curve.run ? 2.75 : 1.75;
    });
    this.plot.redraw(false);
    if (!this.tip.hidden && !this.body.matches(":hover, :focus")) this.tell();
  }

  close() {
    this.sized?.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }
}
