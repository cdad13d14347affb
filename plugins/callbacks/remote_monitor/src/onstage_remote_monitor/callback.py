"""RemoteMonitor: the callback. It hands events over, and the sender sends them."""

from __future__ import annotations

import os
import re
import secrets
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from onstage import Callback
from onstage.errors import OnstageWarning, StateError
from onstage.logs import Logs
from onstage.model import State
from onstage.validation import validate_bool, validate_choice, validate_float, validate_int, validate_state
from onstage_remote_monitor.validation import checked_headers, checked_root, is_loopback, read_token

if TYPE_CHECKING:  # imported when a run begins: requests takes its time
    from onstage_remote_monitor.client.sender import Sender

_RUN = re.compile("[0-9a-f]{0,32}")


class RemoteMonitor(Callback):
    """Sends what happens to an HTTP server, and never holds the training up.

    A thread of its own posts the events in their order. While the server is away
    they wait on disk; when it is back they are sent on. At the end of the run
    what waits is sent, for `flush_timeout` seconds at most, and a line says what
    became of all.

    Parameters
    ----------
    root, path
        The address, in two parts. Without a user or a password.
    field
        The form's field that holds the JSON.
    headers
        Sent along. Shown nowhere, but pickled with this object: a secret
        belongs into `token_env`.
    send_as_json
        The JSON is the request's body instead.
    events
        ``"epoch"``: one at the end of each epoch, as in Keras. ``"all"``: those
        of training, validation, epochs and batches too; as many as have come in
        a tenth of a second go into one request, as a JSON list.
    timeout
        Seconds to connect, and seconds to wait for an answer.
    retries
        Attempts after a failed one, before the server counts as away.
    spool
        Directory for what waits. Given, the next training sends what this one
        couldn't. None: a temporary one.
    spool_size
        Bytes on disk at most.
    token_env
        Name of an environment variable; its content is sent as a bearer token.
    queue_size
        Events in memory at most.
    flush_timeout
        Seconds at the end.

    Attributes
    ----------
    sent, retried, spooled, dropped
        Of the last training: events that the server took, attempts after the
        first, events that went to disk, events that are lost.
    left
        The file of the events that could not be sent; None when there are none.

    References
    ----------
    Keras 3, ``keras.callbacks.RemoteMonitor``.
    """

    on_error: Literal["raise", "disable"] = "disable"
    ranks: ClassVar[Literal["zero", "all"]] = "zero"
    adds_logs: ClassVar[tuple[str, ...]] = ()

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
    ) -> None:
        self.root = checked_root(root)
        self.path = path if path.startswith("/") else f"/{path}"
        self.field = field
        self.headers = checked_headers(headers)
        self.send_as_json = validate_bool("send_as_json", send_as_json)
        self.events = validate_choice("events", events, ("epoch", "all"))
        self.timeout = validate_float("timeout", timeout, 0, exclude=(0,))
        self.retries = validate_int("retries", retries, 0)
        self.spool = None if spool is None else os.fspath(spool)
        self.spool_size = validate_int("spool_size", spool_size, 0)
        self.token_env = token_env
        self.queue_size = validate_int("queue_size", queue_size, 1)
        self.flush_timeout = validate_float("flush_timeout", flush_timeout, 0)
        self._check_token()
        self._forget()
        self._run_id, self._attempt = "", secrets.token_hex(4)
        self._sequence = 0
        self._held: list[dict[str, Any]] | None = None
        self._sender: Sender | None = None
        if self.events == "epoch":
            self.skips = (
                "on_train_batch_end",
                "on_test_batch_end",
            )  # so that no logs of batches are computed

    def _check_token(self) -> None:
        parts = urlsplit(self.root)
        if read_token(self.token_env) and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            warnings.warn(
                f"the token in {self.token_env} goes unencrypted to {self.root}: give an https address",
                OnstageWarning,
                stacklevel=3,
            )

    def _forget(self) -> None:
        self.sent = self.retried = self.spooled = self.dropped = 0
        self.left: str | None = None

    # -- stages

    def on_train_begin(self) -> None:
        """Begin a run of its own."""
        self._forget()
        self._run_id, self._sequence = secrets.token_hex(8), 0
        self._attempt = secrets.token_hex(4)
        if self._sender is None:
            self._open()
        # Held back until a batch: a state that is loaded meanwhile has told of them before.
        self._held = []
        self._tell("train_begin", held=True)

    def on_epoch_begin(self, epoch: int) -> None:
        """Tell of it."""
        self._tell("epoch_begin", {"epoch": epoch}, held=True)

    def on_train_batch_end(self, batch: int, logs: Logs, run: Any) -> None:
        """Send the batch's number and logs."""
        self._tell("train_batch_end", {**_epoch(run), "batch": batch, **logs})

    def on_test_begin(self, run: Any) -> None:
        """Tell of it."""
        self._tell("test_begin", _epoch(run))

    def on_test_batch_end(self, batch: int, logs: Logs, run: Any) -> None:
        """Send the batch's number and logs."""
        self._tell("test_batch_end", {**_epoch(run), "batch": batch, **logs})

    def on_test_end(self, logs: Logs, run: Any) -> None:
        """Tell of it."""
        self._tell("test_end", {**_epoch(run), **logs})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Send the epoch's number and logs."""
        if self.events == "epoch":
            self._hand_over({"epoch": epoch, **logs})
        else:
            self._tell("epoch_end", {"epoch": epoch, **logs})

    def on_train_end(self) -> None:
        """Tell of it."""
        self._tell("train_end")

    def on_exception(self, exception: BaseException) -> None:
        """Tell of its type alone: the message may hold anything."""
        self._tell("exception", {"error": type(exception).__name__})

    def on_teardown(self) -> None:
        """Send what waits, end the thread, say what became of all."""
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
            print(self._closing_line())
        self._warn(sender)
        if left is not None and self.spool is None:
            self._notice(f"what could not be sent is in {left}; give a spool to have it sent next time")

    def _closing_line(self) -> str:
        left = f", the rest in {self.left}" if self.left else ""
        return (
            f"RemoteMonitor: {self.sent} sent, {self.retried} retried, {self.spooled} spooled, "
            f"dropped: {self.dropped}{left}"
        )

    # -- handing over

    def _tell(self, event: str, fields: Mapping[str, Any] | None = None, held: bool = False) -> None:
        if self.events == "epoch":
            return
        told = {"event": event, **(fields or {})}
        if held and self._held is not None:
            self._held.append(told)
            return
        earlier, self._held = self._held or (), None
        for each in (*earlier, told):
            self._hand_over(each)

    def _hand_over(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            if hasattr(value, "copy"):  # an array, a list: others may go on changing it
                fields[name] = value.copy()
        sender = self._sender or self._open()
        if sender.put(f"{self._run_id}.{self._attempt}", self._sequence, fields):
            self._sequence += 1
        if sender.notices:
            self._warn(sender)

    def _open(self) -> Sender:
        from onstage_remote_monitor.client.disk_queue import Spool
        from onstage_remote_monitor.client.http import Transport
        from onstage_remote_monitor.client.sender import Sender

        url = self.root + self.path
        token = read_token(self.token_env)
        field = None if self.send_as_json else self.field
        self._run_id = self._run_id or secrets.token_hex(8)
        self._sender = Sender(
            Transport(url, self.headers, token, field, self.timeout),
            Spool(self.spool, url, self.spool_size),
            many=self.events == "all",
            retries=self.retries,
            queue_size=self.queue_size,
        )
        return self._sender

    def _warn(self, sender: Sender) -> None:
        while sender.notices:
            self._notice(sender.notices.popleft())

    def _notice(self, text: str) -> None:
        warnings.warn(f"RemoteMonitor, {self.root}: {text}", OnstageWarning, stacklevel=2)

    # -- resume

    def state_dict(self) -> State:
        """Give the run's name and the next event's number."""
        return {"run": self._run_id, "sequence": self._sequence}

    def load_state_dict(self, state: State) -> None:
        """Go on as the saved run; the server takes back what that sent afterwards."""
        run, self._sequence = validate_state(state, run=str, sequence=int)
        if not _RUN.fullmatch(run):
            raise StateError(f"the saved 'run' must be hexadecimal digits, got {run[:40]!r}")
        self._run_id, self._held = run, None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the thread."""
        return {**super().__getstate__(), "_sender": None}


def _epoch(run: Any) -> dict[str, Any]:
    """Say in which epoch a run is, if it is in one."""
    epoch = getattr(run, "epoch", None)
    return {} if epoch is None else {"epoch": epoch}
