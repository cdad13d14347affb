"""RemoteMonitor: the callback. It passes events to the sender, which sends them."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from onstage import Callback
from onstage.errors import StateError, warn
from onstage.logs import Logs
from onstage.model import State
from onstage.reporting import print_line
from onstage.validation import validate_bool, validate_choice, validate_float, validate_int, validate_state
from onstage_remote_monitor.description import describe_begin, describe_end
from onstage_remote_monitor.validation import is_loopback, read_token, validate_headers, validate_root

if TYPE_CHECKING:  # imported when a run begins: requests is slow to import
    from onstage_remote_monitor.client.sender import Sender

_RUN = re.compile("[0-9a-f]{0,32}")


class RemoteMonitor(Callback):
    """Send training events to an HTTP server, without ever delaying training.

    A background thread posts the events in order. While the server is away,
    they wait on disk. At the end of the run the remaining events are sent, for
    `flush_timeout` seconds at most, and a line reports the totals.

    Parameters
    ----------
    root, path
        Address of the server in two parts, without a user or a password.
    field
        Form field that holds the JSON.
    headers
        Headers of each request. They are shown nowhere, but pickled with this
        object: use `token_env` for a secret.
    send_as_json
        Send the JSON as the request's body instead.
    events
        ``"epoch"``: one event at the end of each epoch, as in Keras. ``"all"``:
        also those of training, validation, epochs and batches; the events of a
        tenth of a second are sent in one request, as a JSON list.
    timeout
        Seconds to connect, and seconds to wait for an answer.
    retries
        Attempts after a failed one, before the server counts as away.
    spool
        Directory for waiting events. The next training with the same directory
        sends the events that this one could not. None: a temporary one.
    spool_size
        Maximum size on disk, in bytes.
    token_env
        Name of an environment variable that holds a bearer token.
    queue_size
        Maximum number of events in memory.
    flush_timeout
        Maximum number of seconds for the remaining events at the end.
    name
        Name of the run for people; the server may make one.

    Attributes
    ----------
    sent, retried, spooled, dropped
        Counts of the last training: events accepted by the server, repeated
        attempts, events written to disk, events lost.
    left
        File of the events that could not be sent, or None.

    Examples
    --------
    >>> monitor = RemoteMonitor("http://localhost:9000", events="all")
    >>> monitor.path
    '/publish/epoch/end/'

    References
    ----------
    Keras 3, ``keras.callbacks.RemoteMonitor``.
    """

    on_error: Literal["raise", "disable"] = "disable"
    ranks: ClassVar[Literal["zero", "all"]] = "zero"
    adds_logs: ClassVar[tuple[str, ...]] = ()
    optional = ("batches",)

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
        *,
        events: Literal["epoch", "all"] = "epoch",
        timeout: float = 3.0,
        retries: int = 3,
        spool: str | os.PathLike[str] | None = None,
        spool_size: int = 256 * 2**20,
        token_env: str | None = None,
        queue_size: int = 20_000,
        flush_timeout: float = 10.0,
        name: str | None = None,
    ) -> None:
        self.root = validate_root(root)
        self.path = path if path.startswith("/") else f"/{path}"
        self.field = field
        self.headers = validate_headers(headers)
        self.send_as_json = validate_bool("send_as_json", send_as_json)
        self.events = validate_choice("events", events, ("epoch", "all"))
        self.timeout = validate_float("timeout", timeout, 0, exclude=(0,))
        self.retries = validate_int("retries", retries, 0)
        self.spool = None if spool is None else os.fspath(spool)
        self.spool_size = validate_int("spool_size", spool_size, 0)
        self.token_env = token_env
        self.queue_size = validate_int("queue_size", queue_size, 1)
        self.flush_timeout = validate_float("flush_timeout", flush_timeout, 0)
        self.name = name
        self._check_token()
        self._reset_counts()
        self._run_id, self._attempt = "", secrets.token_hex(4)
        self._sequence = 0
        self._held: list[dict[str, Any]] | None = None
        self._sender: Sender | None = None
        if self.events == "epoch":
            # So that no logs of batches are computed.
            self.skips = (RemoteMonitor.on_train_batch_end, RemoteMonitor.on_test_batch_end)

    def _check_token(self) -> None:
        parts = urlsplit(self.root)
        if read_token(self.token_env) and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            warn(f"the token in {self.token_env} is sent unencrypted to {self.root}; use an https address")

    def _reset_counts(self) -> None:
        self.sent = self.retried = self.spooled = self.dropped = 0
        self.left: str | None = None

    # -- stages

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start a new run."""
        self._reset_counts()
        self._run_id, self._sequence = secrets.token_hex(8), 0
        self._attempt = secrets.token_hex(4)
        if self._sender is None:
            self._open()
        # Held back until a batch: if a state is loaded meanwhile, its run has sent them before.
        self._held = []
        self._send("train_begin", describe_begin(self.run, self, self.name), held=True)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Send the begin of the epoch."""
        self._send("epoch_begin", {"epoch": epoch}, held=True)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Send the batch's number, and its own values in place of the running means."""
        own = getattr(self.run, "batch_logs", {})
        self._send("train_batch_end", {**_epoch(self.run), "batch": batch, **(logs or {}), **own})
        self._heed()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Send the begin of the evaluation."""
        self._send("test_begin", _epoch(self.run))

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Send the batch's number and logs."""
        self._send("test_batch_end", {**_epoch(self.run), "batch": batch, **(logs or {})})

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Send the evaluation's logs."""
        self._send("test_end", {**_epoch(self.run), **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Send the epoch's number and logs."""
        if self.events == "epoch":
            self._put({"epoch": epoch, **(logs or {})})
        else:
            self._send("epoch_end", {"epoch": epoch, **(logs or {})})
        self._heed()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Send the end of the training, and why it was stopped."""
        self._send("train_end", describe_end(self.run))

    def on_exception(self, exception: BaseException) -> None:
        """Send its type only: the message may hold anything."""
        self._send_error(exception, type(exception).__name__)

    def _send_error(self, exception: BaseException, text: str) -> None:
        interrupted = not isinstance(exception, Exception)
        self._send("exception", {"error": text, "interrupted": interrupted})

    def _heed(self) -> None:
        """Stop the run if the server asks for it."""
        if self._sender is not None and self._sender.asked_to_stop:
            self.stop(self._sender.asked_to_stop)

    def on_teardown(self) -> None:
        """Send the remaining events, end the thread, report the totals."""
        if self._sender is None:
            return
        sender, self._sender = self._sender, None
        left = sender.close(self.flush_timeout)
        self.sent += sender.sent
        self.retried += sender.retried
        self.spooled += sender.spooled
        self.dropped += sender.dropped
        self.left = None if left is None else str(left)
        if getattr(self, "params", {}).get("verbose"):
            print_line(self._closing_line())
        self._warn(sender)
        if left is not None and self.spool is None:
            self._notice(f"events that could not be sent are in {left}; set spool to send them next time")

    def _closing_line(self) -> str:
        left = f", the rest in {self.left}" if self.left else ""
        return (
            f"{type(self).__name__}: {self.sent} sent, {self.retried} retried, {self.spooled} spooled, "
            f"dropped: {self.dropped}{left}"
        )

    # -- passing events to the sender

    def _send(self, event: str, fields: Mapping[str, Any] | None = None, held: bool = False) -> None:
        if self.events == "epoch":
            return
        full = {"event": event, "wall_time": time.time(), **(fields or {})}
        if held and self._held is not None:
            self._held.append(full)
            return
        earlier, self._held = self._held or (), None
        for each in (*earlier, full):
            self._put(each)

    def _put(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            if hasattr(value, "copy"):  # an array or a list, which others may change
                fields[name] = value.copy()
        sender = self._sender or self._open()
        if sender.put(f"{self._run_id}.{self._attempt}", self._sequence, fields):
            self._sequence += 1
        if sender.notices:
            self._warn(sender)

    def _open(self) -> Sender:
        from onstage_remote_monitor.client.disk_queue import Spool
        from onstage_remote_monitor.client.http import Transport
        from onstage_remote_monitor.client.leftovers import Leftovers
        from onstage_remote_monitor.client.sender import Sender

        url = self.root + self.path
        token = read_token(self.token_env)
        field = None if self.send_as_json else self.field
        self._run_id = self._run_id or secrets.token_hex(8)
        self._sender = Sender(
            Transport(url, self.headers, token, field, self.timeout),
            Spool(self.spool, url, self.spool_size),
            Leftovers(self.spool, url, self.spool_size),
            many=self.events == "all",
            retries=self.retries,
            queue_size=self.queue_size,
        )
        return self._sender

    def _warn(self, sender: Sender) -> None:
        while sender.notices:
            self._notice(sender.notices.popleft())

    def _notice(self, text: str) -> None:
        warn(f"{type(self).__name__}, {self.root}: {text}")

    # -- resume

    def state_dict(self) -> State:
        """Return the name of the run and the number of the next event."""
        return {"run": self._run_id, "sequence": self._sequence}

    def load_state_dict(self, state: State) -> None:
        """Continue the saved run; the server removes the events that it sent later."""
        run, self._sequence = validate_state(state, run=str, sequence=int)
        if not _RUN.fullmatch(run):
            raise StateError(f"the saved 'run' must be hexadecimal digits, got {run[:40]!r}")
        self._run_id, self._held = run, []
        self._send("train_resume", describe_begin(self.run, self, self.name), held=True)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the thread."""
        return {**super().__getstate__(), "_sender": None}


def _epoch(run: Any) -> dict[str, Any]:
    """Return the current epoch of a run, if there is one."""
    epoch = getattr(run, "epoch", None)
    return {} if epoch is None else {"epoch": epoch}
