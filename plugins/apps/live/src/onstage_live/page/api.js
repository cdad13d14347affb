// The server: requests, and the stream of changes.

export async function ask(path, method = "GET", body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.error ?? `the server answered ${answer.status}`);
  return content;
}

/** Follow the stream as long as the tab is visible; connect again whenever it ends. */
export function follow({ opened, lost, changed, listed }) {
  let source = null, timer = null;
  const start = () => {
    clearTimeout(timer);
    source?.close();
    if (document.hidden) return;
    source = new EventSource("api/stream");
    source.onopen = opened;
    source.onerror = () => { source.close(); lost(); timer = setTimeout(start, 1000); };
    source.addEventListener("changed", (event) => changed(JSON.parse(event.data)));
    source.addEventListener("runs", listed);
  };
  document.addEventListener("visibilitychange", start);
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => event.persisted && start());
  start();
}

// Names may be long, and servers limit the length of an address.
function* portions(names) {
  let part = [], length = 0;
  for (const name of names) {
    const size = encodeURIComponent(name).length;
    if (part.length && length + size > 6000) { yield part; part = []; length = 0; }
    part.push(name);
    length += size;
  }
  if (part.length) yield part;
}

/** Return `{metric: {id: curve}}` of several metrics and runs. */
export async function series(runs, metrics, settings) {
  const parts = [...portions(metrics)].map((names) => {
    const query = new URLSearchParams({ runs: runs.join(","), ...settings });
    for (const name of names) query.append("metric", name);
    return ask(`api/series?${query}`);
  });
  return Object.assign({}, ...(await Promise.all(parts)).map((answer) => answer.series));
}

export function csv(runs, metrics, kind) {
  return `api/export.csv?${new URLSearchParams({ runs: runs.join(","), metrics: metrics.join(","), kind })}`;
}
