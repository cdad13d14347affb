// What opens above the page: a run, two runs side by side, a question.

import { ask, csv } from "./api.js";
import { button, clock, find, h, number, put } from "./dom.js";
import { progressOf } from "./list.js";
import { colourOf, maySteer, runOf, STATES } from "./runs.js";
import { change, view } from "./view.js";

const closer = (dialog) => button("Close", "close", () => dialog.close());

/** Ask a question; resolve whether it was answered with yes. */
export function confirm(question, yes) {
  const dialog = find("confirm");
  const answer = (text, value, settings) => h("button", { type: "button", onclick: () => dialog.close(value), ...settings }, text);
  dialog.replaceChildren(h("p", {}, question), h("div", { class: "row end" },
    answer("Cancel", "no", { autofocus: true }), answer(yes, "yes", { class: "danger" })));
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

async function attempt(work) {
  const said = find("said");
  put(said, "");
  await work().then(() => put(said, "saved"), (error) => put(said, `not done: ${error.message}`));
}

const patch = (id, parts) => attempt(() => ask(`api/runs/${id}`, "PATCH", parts));

async function stop(run) {
  if (!(await confirm(`Ask ${run.name} to stop? It ends after its current batch, as EarlyStopping would end it.`, "Stop run"))) return;
  await attempt(() => ask(`api/runs/${run.id}/stop`, "POST"));
  put(find("said"), "asked to stop; it does so when it next reports");
}

async function remove(run) {
  if (!(await confirm(`Delete ${run.name} and its ${run.count} values? Nothing brings them back.`, "Delete run"))) return;
  await attempt(() => ask(`api/runs/${run.id}`, "DELETE"));
  find("details").close();
}

const text = (value) => (typeof value === "number" ? number(value, 8) : typeof value === "string" ? value : JSON.stringify(value));

function table(head, rows) {
  return h("table", { class: "facts" }, h("thead", {}, h("tr", {}, ...head.map((each) => h("th", { scope: "col" }, each)))),
    h("tbody", {}, ...rows.map(([first, cells]) => h("tr", {}, h("th", { scope: "row" }, first), ...cells.map((cell) => h("td", {}, cell))))));
}

function build(dialog, run) {
  const off = !maySteer(), id = run.id;
  const facts = { Model: run.model, Host: run.host, Process: run.pid || "", Started: clock(run.started), Attempt: run.attempt > 1 ? run.attempt : "", Steps: run.steps, Values: run.count, Id: id };
  const names = run.metrics.map(({ name }) => name);
  dialog.replaceChildren(h("div", {},
    h("div", { class: "row" }, h("h2", { class: "grow", id: "title" }), closer(dialog)),
    h("p", { id: "now" }), h("p", { class: "why", id: "why" }),
    off ? h("p", { class: "hint" }, "This server shows runs only. Changes are made on its own machine, or with its token.") : null,
    h("div", { class: "row wrap" },
      h("button", { type: "button", id: "stop", class: "danger", disabled: off, onclick: () => stop(runOf(id)) }, "■ Stop run"),
      h("a", { class: "button", href: csv([id], names, view.kind), download: "" }, "Download CSV"),
      h("button", { type: "button", disabled: off, onclick: () => remove(runOf(id)) }, "Delete …"), h("span", { id: "said", role: "status" })),
    h("div", { class: "row" },
      h("label", { class: "grow" }, "Name", h("input", { id: "rename", value: run.name, maxlength: 300, disabled: off, onchange: (event) => patch(id, { name: event.target.value }) })),
      h("label", {}, "Colour", h("input", { type: "color", value: colourOf(run), disabled: off, onchange: (event) => patch(id, { colour: event.target.value }) }))),
    h("label", {}, "Note", h("textarea", { id: "note", rows: 3, value: run.note, disabled: off, placeholder: "What this run is for", onchange: (event) => patch(id, { note: event.target.value }) })),
    h("h3", {}, "Results"), h("div", { id: "results" }),
    h("h3", {}, "Hyperparameters"), table([], Object.entries(run.params).map(([name, value]) => [name, [text(value)]])),
    h("h3", {}, "Callbacks"), h("ul", {}, ...run.callbacks.map((each) => h("li", {}, each))),
    h("h3", {}, "About"), table([], Object.entries(facts).filter(([, value]) => value !== "").map(([name, value]) => [name, [String(value)]]))));
}

function refreshDetails(dialog, run) {
  put(find("title"), run.name);
  put(find("why"), run.why ?? "");
  put(find("now"), `${STATES[run.state]} ${run.state} · ${progressOf(run)}`);
  find("now").className = `state ${run.state}`;
  find("stop").hidden = !["running", "silent"].includes(run.state);
  const best = (name) => (run.best[name] ? `${number(run.best[name].value)} · ${run.best[name].epoch}` : "");
  find("results").replaceChildren(table(["metric", "last", "best · epoch"], Object.keys(run.last).map((name) => [name, [number(run.last[name]), best(name)]])));
}

function compare(dialog, a, b) {
  const union = (part) => [...new Set([...Object.keys(a[part]), ...Object.keys(b[part])])];
  const params = union("params").map((name) => {
    const cells = [a, b].map((run) => (name in run.params ? text(run.params[name]) : "—"));
    return [name, cells];
  });
  const differing = params.filter(([, [x, y]]) => x !== y), equal = params.filter(([, [x, y]]) => x === y);
  const values = (of) => union("last").sort().map((name) => {
    const found = [a, b].map((run) => of(run, name)), [x, y] = found;
    const cells = found.map((value) => (value === undefined ? "—" : number(value)));
    return [name, [...cells, typeof x === "number" && typeof y === "number" ? (x === y ? "=" : `${y > x ? "+" : "−"}${number(Math.abs(y - x), 3)}`) : ""]];
  });
  const heads = () => [a, b].map((run) => {
    const name = h("span", { class: "run" }, run.name);
    name.style.setProperty("--run", colourOf(run));
    return name;
  });
  dialog.replaceChildren(
    h("div", { class: "row" }, h("h2", { class: "grow" }, "Compare"), closer(dialog)),
    h("h3", {}, "Hyperparameters that differ"), table([differing.length ? "" : "none", ...heads()], differing),
    h("h3", {}, "Best"), table(["", ...heads(), "difference"], values((run, name) => run.best[name]?.value).filter(([, cells]) => cells[0] !== "—" || cells[1] !== "—")),
    h("h3", {}, "Last"), table(["", ...heads(), "difference"], values((run, name) => run.last[name])),
    h("details", { open: dialog.querySelector("details")?.open ?? false }, h("summary", {}, h("h3", {}, `${equal.length} equal hyperparameters`)), table([], equal)));
}

/** Open, bring up to date and close what the view asks for. */
export function renderDialogs() {
  const details = find("details"), pair = find("compare"), run = runOf(view.run);
  if (run) {
    if (details.dataset.run !== run.id || !details.open) build(details, run);
    details.dataset.run = run.id;
    refreshDetails(details, run);
    if (!details.open) details.showModal();
  } else if (details.open) details.close();
  const [a, b] = view.compare.map(runOf);
  if (a && b) {
    compare(pair, a, b);
    if (!pair.open) pair.showModal();
  } else if (pair.open) pair.close();
}

export function connectDialogs() {
  find("details").onclose = () => change({ run: "" });
  find("compare").onclose = () => change({ compare: [] });
  // A click beside a dialog closes it.
  for (const dialog of document.querySelectorAll("dialog")) dialog.onclick = (event) => event.target === dialog && dialog.close();
}
