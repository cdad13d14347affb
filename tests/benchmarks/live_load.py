"""Load on `onstage live`: many trainings at once, a very long curve, many open pages.

``senders``: each training is a process that sends an event for each of its batches
through `Live`, while a page follows; afterwards the stored values are compared with
those that were sent. ``curve``: ten million points of one metric are stored, and asked
for whole and zoomed. ``pages``: open pages that wait for news, the senders beside them::

    python tests/benchmarks/live_load.py senders --count 8 --rate 2000 --seconds 30
    python tests/benchmarks/live_load.py curve --points 10_000_000
    python tests/benchmarks/live_load.py pages --count 1000 --rate 200 --seconds 10
"""

import argparse
import http.client
import json
import multiprocessing
import resource
import selectors
import socket
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
from onstage_live import Live, Server
from onstage_live.blocks import SIZE
from onstage_live.store import _WRITE, Store

from onstage import Run


def train(url, events_per_second, seconds, results):
    """Log a batch at an even rate; report what was sent."""
    live = Live(url, flush_timeout=30)
    count, latest = round(events_per_second * seconds), 0.0
    with Run(callbacks=[live], epochs=1) as run:
        for _ in run.epochs():
            began = time.perf_counter()
            for n in run.batches(range(count)):
                run.log(loss=float(n), accuracy=0.5)
                ahead = began + n / events_per_second - time.perf_counter()
                time.sleep(max(0.0, ahead))
                latest = max(latest, -ahead)
    results.put((live._run_id, count, live.dropped, live.spooled, latest))


def follow(url, seconds, messages):
    """Read the stream of a page; note when each message of changes came."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("GET", "/api/stream")
    answer, end = connection.getresponse(), time.monotonic() + seconds
    while time.monotonic() < end:
        if answer.readline().startswith(b"event: changed"):
            messages.append(time.monotonic())


def senders(server, count, rate, seconds):
    """Return the counts of trainings in processes, and how the page followed."""
    context = multiprocessing.get_context("spawn")
    results, messages = context.Queue(), []
    arguments = (server.url, rate / count, seconds, results)
    trainings = [context.Process(target=train, args=arguments) for _ in range(count)]
    page = threading.Thread(target=follow, args=(server.url, seconds, messages), daemon=True)
    page.start()
    for training in trainings:
        training.start()
    told = [results.get() for _ in trainings]
    for training in trainings:
        training.join()
    lost = 0
    for run, sent, _, _, _ in told:
        stored = [point.value for point in server._store.points(run, "batch", "loss")]
        lost += sent - len(stored)
        assert stored == sorted(stored), "out of order"
    gaps = np.diff(messages)
    return {
        "sent": sum(sent for _, sent, _, _, _ in told),
        "lost": lost,
        "dropped": sum(dropped for _, _, dropped, _, _ in told),
        "spooled": sum(spooled for _, _, _, spooled, _ in told),
        "latest_ms": round(1000 * max(latest for *_, latest in told), 1),
        "page_hz": round(1 / np.median(gaps), 1) if len(gaps) else 0.0,
        "page_longest_gap_ms": round(1000 * gaps.max()) if len(gaps) else None,
    }


def curve(folder, points):
    """Store a long curve, and return the milliseconds of answers to a page that asks for it."""
    store = Store(Path(folder))
    store.publish([{"event": "train_begin"}, {"event": "train_batch_end", "loss": 0.0}], "long.1", 0, "")
    run = store.runs["long"]
    block, rng = store._blocks["long", "batch", "loss"], np.random.default_rng(0)
    for first in range(0, points, SIZE):
        steps = np.arange(first, min(first + SIZE, points))
        values = 1 / (1 + 1e-5 * steps) + 0.1 * rng.normal(size=len(steps))
        for column, content in zip(
            block.columns, (steps, steps, steps / 1e4, 1e9 + steps / 100, values), strict=True
        ):
            del column[:]
            column.frombytes(
                np.asarray(content, np.int64 if column.typecode == "q" else np.float64).tobytes()
            )
        block.number = first // SIZE
        store._db.execute(_WRITE, ("long", "batch", "loss", *block.row()))
    run.counts["batch"]["loss"] = points
    store._dirty.clear()
    store.flush()
    store.close()
    took = {}
    with Server(port=0, store=folder) as server:
        for name, query in {
            "whole": "",
            "tenth": f"&from=0&to={points // 10}",
            "thousandth": f"&from=0&to={points // 1000}",
        }.items():
            for axis in ("step", "relative"):
                began = time.perf_counter()
                with urlopen(
                    f"{server.url}/api/series?runs=long&metric=loss&kind=batch&x={axis}{query}"
                ) as answer:
                    found = json.load(answer)["series"]["loss"]["long"]
                took[f"{name}_{axis}_ms"] = round(1000 * (time.perf_counter() - began))
                assert found["total"] == points
    return took


def pages(server, count, rate, seconds):
    """Return how fast many open pages get the news of a few trainings."""
    address, request = urlsplit(server.url), b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    selector, received = selectors.DefaultSelector(), {}
    for _ in range(count):
        connection = socket.create_connection((address.hostname, address.port), timeout=30)
        connection.sendall(request)
        connection.setblocking(False)
        received[connection] = 0
        selector.register(connection, selectors.EVENT_READ)
    end = [float("inf")]

    def read():
        while time.monotonic() < end[0]:
            for key, _ in selector.select(0.1):
                received[key.fileobj] += key.fileobj.recv(1 << 16).count(b"event: changed")

    reader = threading.Thread(target=read)
    reader.start()
    result = senders(server, 2, rate, seconds)
    end[0] = time.monotonic() + 1
    reader.join()
    for connection in received:
        connection.close()
    return {
        "pages": count,
        "messages_fewest": min(received.values()),
        "messages_most": max(received.values()),
        **result,
    }


def main():
    """Print the figures; fail if an event is lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["senders", "curve", "pages"])
    parser.add_argument("--count", type=int, default=8, help="senders, or pages")
    parser.add_argument(
        "--rate", type=float, default=2000, help="events in a second, of all senders together"
    )
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--points", type=int, default=10_000_000)
    given = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "curve":
            result = curve(folder + "/store", given.points)
        else:
            with Server(port=0, store=folder, rate=1e6) as server:
                work = senders if given.what == "senders" else pages
                result = work(server, given.count, given.rate, given.seconds)
    for name, value in result.items():
        print(f"{name:>20}  {value}")
    if result.get("lost") or result.get("dropped"):
        raise SystemExit("events were lost")


if __name__ == "__main__":
    main()
