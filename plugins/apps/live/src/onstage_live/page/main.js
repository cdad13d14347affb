// Connects the parts of the page.

import { ask, follow } from "./api.js";
import { arrange, redraw, refresh } from "./charts.js";
import { connectDialogs, renderDialogs } from "./dialogs.js";
import { find, h, paced, put } from "./dom.js";
import { connectList, renderList } from "./list.js";
import { allRuns, isShown, runOf, setRuns, shownRuns } from "./runs.js";
import { change, onChange, view } from "./view.js";

const THEMES = ["auto", "light", "dark"], dark = matchMedia("(prefers-color-scheme: dark)");
let loaded = false, theme = "auto";

function render() {
  if (!loaded) return;
  find("x").value = view.x;
  find("kind").value = view.kind;
  find("smooth").value = view.smooth;
  put(document.querySelector("output"), view.smooth ? String(view.smooth) : "off");
  for (const id of ["find", "metrics"]) if (find(id).value !== view[id]) find(id).value = view[id];
  renderList();
  arrange();
  renderDialogs();
  renderEmpty();
}

function renderEmpty() {
  const empty = find("empty"), none = !allRuns().length;
  empty.hidden = shownRuns().length > 0;
  if (empty.hidden || empty.dataset.none === String(none)) return;
  empty.dataset.none = none;
  const code = `model.fit(x, y, epochs=20, callbacks=["live"])`;
  empty.replaceChildren(...(none
    ? [h("h2", {}, "Waiting for a training"), h("p", {}, "Start one in another terminal. Its curves appear here while it runs:"), h("pre", {}, code)]
    : [h("h2", {}, "No run is shown"), h("p", {}, "Tick some runs in the list, or search for others.")]));
}

// New values are asked for only if others are shown: smoothing and axes need none.
let asked = "";
function update() {
  render();
  const runs = shownRuns().map((run) => [run.id, run.name, run.colour, run.metrics.length]);
  const needs = JSON.stringify([view.x, view.kind, view.zoom, runs]), same = needs === asked;
  asked = needs;
  if (!same) refresh();
  return same;
}

function setTheme(chosen) {
  theme = THEMES.includes(chosen) ? chosen : "auto";
  localStorage.setItem("theme", theme);
  document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  const label = `Colours: ${theme === "auto" ? "as the system" : theme}`;
  find("theme").setAttribute("aria-label", label);
  find("theme").title = label;
  render();
  redraw();
}

async function copyLink() {
  const said = find("copy").lastElementChild;
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {  // only a secure address has a clipboard
    const field = h("textarea", { value: location.href });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  put(said, "Copied");
  setTimeout(() => put(said, "Copy link"), 1500);
}

const reload = paced(async () => {
  setRuns(await ask("api/runs"));
  loaded = true;
  update();
}, 500);

function connected(state, text) {
  find("connection").className = state;
  put(find("connection"), text);
}

onChange(() => update() && redraw());
connectList();
connectDialogs();
find("x").onchange = (event) => change({ x: event.target.value, zoom: [] });
find("kind").onchange = (event) => change({ kind: event.target.value });
find("smooth").oninput = (event) => change({ smooth: Number(event.target.value) });
find("metrics").oninput = (event) => change({ metrics: event.target.value });
find("reset").onclick = () => change({ zoom: [] });
find("copy").onclick = copyLink;
find("theme").onclick = () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % 3]);
find("sidebar").open = innerWidth > 760;
dark.onchange = () => setTheme(theme);
setTheme(localStorage.getItem("theme"));
setInterval(() => document.hidden || reload(), 30_000);
follow({
  opened: () => { connected("on", "connected"); reload(); refresh(); },
  lost: () => connected("off", "connection lost, trying again"),
  changed: (counts) => {
    if (Object.keys(counts).some((id) => runOf(id) && isShown(runOf(id)))) refresh();
    if (Object.keys(counts).some((id) => !runOf(id))) reload();
  },
  listed: reload,
});
