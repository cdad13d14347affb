// The list of runs: one row for each, kept while its texts change.

import { ask } from "./api.js";
import { highlight } from "./charts.js";
import { ago, button, clock, duration, find, h, number, put } from "./dom.js";
import { allRuns, bestNames, colourOf, isShown, listedRuns, mainMetric, maySteer, runOf, STATES } from "./runs.js";
import { change, flipped, view } from "./view.js";

const rows = new Map();  // id → the parts of its row

/** Return what a run does, or how it ended. */
export function progressOf(run) {
  const epochs = run.epochs ? `epoch ${run.epoch}/${run.epochs}` : `epoch ${run.epoch}`;
  if (run.asked) return `${epochs} · stopping …`;
  if (run.state === "running") return !(run.eta >= 1) ? epochs : `${epochs} · ${duration(run.eta)} left`;
  if (run.state === "silent") return `${epochs} · not heard for ${duration(Date.now() / 1000 - run.updated)}`;
  return `${epochs} · took ${duration((run.finished ?? run.updated) - run.started)}`;
}

export function bestOf(run, metric = mainMetric(run)) {
  const best = run.best[metric];
  return best ? `${metric} ${number(best.value)} at epoch ${best.epoch}` : "";
}

function toggle(id) {
  const run = runOf(id);
  if (isShown(run)) return change({ hide: [...view.hide, id], show: view.show.filter((each) => each !== id) });
  const hide = view.hide.filter((each) => each !== id);
  change({ hide });
  if (!isShown(run)) change({ show: [...view.show, id] });
}

function only(id) {
  change({ hide: allRuns().filter((run) => run.id !== id && isShown(run)).map((run) => run.id).concat(view.hide.filter((each) => each !== id)), show: [id] });
}

function make(id) {
  const row = {
    check: h("input", { type: "checkbox", onchange: () => toggle(id), ondblclick: () => only(id), title: "Show its curves; double-click: only its" }),
    name: h("button", { type: "button", class: "name", onclick: () => change({ run: id }) }),
    state: h("span", { class: "state" }),
    progress: h("span"), bar: h("progress", { max: 1, "aria-hidden": true }),
    best: h("span"), age: h("span", { class: "age" }), why: h("span", { class: "why" }),
    pin: button("Pin", "pin", () => ask(`api/runs/${id}`, "PATCH", { pinned: !runOf(id).pinned })),
    pair: button("Compare", "pair", () => change({ compare: flipped(view.compare, id).slice(-2) })),
  };
  row.node = h("li", { onmouseenter: () => highlight(id), onmouseleave: () => highlight(null), onfocusin: () => highlight(id), onfocusout: () => highlight(null) },
    row.check, h("div", { class: "about" },
      h("div", { class: "row" }, row.name, h("span", { class: "actions" }, row.pair, row.pin)),
      h("div", { class: "row" }, row.state, row.progress), row.bar, row.why,
      h("div", { class: "row" }, row.best, row.age)));
  row.node.dataset.run = id;
  rows.set(id, row);
  return row;
}

function update(run) {
  const row = rows.get(run.id) ?? make(run.id), running = run.state === "running";
  row.check.checked = isShown(run);
  row.check.setAttribute("aria-label", `Show ${run.name}`);
  row.node.style.setProperty("--run", colourOf(run));
  row.node.classList.toggle("off", !row.check.checked);
  put(row.name, run.name);
  row.name.title = run.note ? `${run.name}\n${run.note}` : run.name;
  put(row.state, `${STATES[run.state]} ${run.state}`);
  row.state.className = `state ${run.state}`;
  put(row.progress, progressOf(run));
  row.bar.hidden = !running || !run.epochs;
  row.bar.value = run.epochs ? run.epoch / run.epochs : 0;
  put(row.why, run.why ?? "");
  put(row.best, bestOf(run, view.sort.startsWith("best ") ? view.sort.slice(5) : undefined));
  put(row.age, ago(run.started));
  row.age.title = clock(run.started);
  row.pin.disabled = !maySteer();
  row.pin.setAttribute("aria-pressed", run.pinned);
  row.pair.setAttribute("aria-pressed", view.compare.includes(run.id));
  return row.node;
}

/** Bring the list up to date. */
export function renderList() {
  const runs = listedRuns(), list = find("runs"), focused = document.activeElement;
  for (const id of rows.keys()) if (!runOf(id)) rows.delete(id);
  const nodes = runs.map(update);
  if (nodes.length !== list.children.length || nodes.some((node, at) => node !== list.children[at])) {
    list.replaceChildren(...nodes);
    if (list.contains(focused)) focused.focus();
  }
  put(find("count"), `${runs.filter(isShown).length} of ${allRuns().length} shown`);
  const names = ["newest", "name", "state", "progress", ...bestNames().map((name) => `best ${name}`)];
  const sort = find("sort");
  if (names.join() !== [...sort.options].map((option) => option.value).join()) {
    sort.replaceChildren(...names.map((name) => h("option", { value: name }, name[0].toUpperCase() + name.slice(1))));
  }
  sort.value = view.sort;
  find("flip").setAttribute("aria-pressed", view.flip);
  const active = allRuns().filter((run) => run.state === "running").length;
  document.title = active ? `${active} running · onstage live` : "onstage live";
}

/** Connect the controls above the list. */
export function connectList() {
  find("find").oninput = (event) => change({ find: event.target.value });
  find("sort").onchange = (event) => change({ sort: event.target.value });
  find("flip").onclick = () => change({ flip: !view.flip });
  find("all").onclick = () => change({ hide: [], show: listedRuns().map((run) => run.id) });
  find("none").onclick = () => change({ hide: allRuns().map((run) => run.id), show: [] });
}
