"""Load on the receiving server: many trainings at once, nothing lost, order kept.

Each training is a process (or a thread) that sends an event for each of its
batches through `RemoteMonitor`. The server runs in this process; afterwards the
program checks which events it received::

    python tests/benchmarks/remote_monitor_load.py --senders 8 --rate 2000 --seconds 30
"""

import argparse
import json
import multiprocessing
import queue
import threading
import time

from onstage_remote_monitor import RemoteMonitor, Server

from onstage import Run


def train(url, events_per_second, seconds, results):
    """Send an event for each batch, at an even rate."""
    monitor = RemoteMonitor(url, events="all", flush_timeout=30)
    delays = []
    count = round(events_per_second * seconds)
    with Run(callbacks=[monitor], epochs=1) as run:
        for _ in run.epochs():
            began = time.perf_counter()
            for n in run.batches(range(count)):
                run.log(loss=float(n), accuracy=0.5)
                ahead = began + n / events_per_second - time.perf_counter()
                if ahead > 0:
                    time.sleep(ahead)
                    ahead = 0.0
                delays.append(-ahead)
    given = monitor._sequence
    results.put(
        {
            "given": given,
            "sent": monitor.sent,
            "retried": monitor.retried,
            "spooled": monitor.spooled,
            "dropped": monitor.dropped,
            "latest_ms": round(1000 * max(delays), 1),
        }
    )


def load(senders, rate, seconds, threads):
    """Run the trainings; return the events sent and received."""
    context = multiprocessing.get_context("spawn")
    results = queue.Queue() if threads else context.Queue()
    kind = threading.Thread if threads else context.Process
    with Server(port=0, history=4 * round(rate * seconds)) as server:
        trainings = [
            kind(target=train, args=(server.url, rate / senders, seconds, results)) for _ in range(senders)
        ]
        began = time.perf_counter()
        for training in trainings:
            training.start()
        told = [results.get() for _ in trainings]
        for training in trainings:
            training.join()
        took = time.perf_counter() - began
        events = server.events
    runs = {}
    for received in events:
        runs.setdefault(received.run, []).append(received.sequence)
    total = {
        name: sum(one[name] for one in told) for name in ("given", "sent", "retried", "spooled", "dropped")
    }
    return {
        "senders": senders,
        "seconds": round(took, 2),
        **total,
        "received": len(events),
        "lost": total["given"] - len(events),
        "runs_in_order": sum(numbers == list(range(len(numbers))) for numbers in runs.values()),
        "latest_ms": max(one["latest_ms"] for one in told),
    }


def main():
    """Print the counts; fail if an event is lost or out of order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2000, help="events in a second, of all together")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--threads", action="store_true", help="threads instead of processes")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    counts = load(given.senders, given.rate, given.seconds, given.threads)
    if given.json:
        print(json.dumps(counts))
    else:
        for name, value in counts.items():
            print(f"{name:>14}  {value}")
    if counts["lost"] or counts["dropped"] or counts["runs_in_order"] != given.senders:
        raise SystemExit("events were lost, or out of order")


if __name__ == "__main__":
    main()
