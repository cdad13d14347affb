"""Template: a file path with fields for epoch, batch and metrics."""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, TypeAlias

from onstage.callbacks.monitor import expected_log_names
from onstage.errors import did_you_mean

if TYPE_CHECKING:
    from onstage import Callback, Logs

Values: TypeAlias = dict[str, float]
"""Value of each field of one file."""

_COUNTS = ("epoch", "batch")


class Template:
    """Path whose fields, in braces, are filled with numbers.

    Parameters
    ----------
    filepath
        Template as for ``str.format``, with named fields, without attributes or indices.

    Attributes
    ----------
    text
        Template with a suffix.
    fields
        Names of the fields.
    fields_in_name
        Whether the file name has fields, so that there are several files.

    Raises
    ------
    TypeError, ValueError
        `filepath` is not a path, or its braces are invalid.
    """

    def __init__(self, filepath: str | PathLike[str]) -> None:
        if not isinstance(filepath, (str, PathLike)) or not isinstance(os.fspath(filepath), str):
            raise TypeError(f"filepath must be a path, got {filepath!r}")
        self.text = os.fspath(filepath)
        if not self.text or self.text.endswith(("/", os.sep)):
            raise ValueError(f"filepath must name a file, got {self.text!r}")
        try:
            self._pieces = [
                (literal, name, spec or "", conversion)
                for literal, name, spec, conversion in Formatter().parse(self.text)
            ]
        except ValueError as error:
            raise ValueError(f"filepath must have its braces in pairs, got {self.text!r}: {error}") from error
        self._check_pieces()
        self._add_suffix()
        self.fields = tuple(dict.fromkeys(name for _, name, _, _ in self._pieces if name is not None))
        # After the last separator that is not itself in a field.
        last = re.split(r"[/\\]", self._filled(lambda *_: "{}"))[-1]
        self.fields_in_name = "{}" in last
        self.path(dict.fromkeys(self.fields, 1))

    def _check_pieces(self) -> None:
        for _, name, spec, conversion in self._pieces:
            if name is None:
                continue
            if not name or name.isdigit() or "." in name or "[" in name or "{" in spec or conversion:
                raise ValueError(
                    "filepath must have fields like {epoch:02d} or {val_loss:.3f}, "
                    f"got {{{name}}} in {self.text!r}"
                )

    def _add_suffix(self) -> None:
        literal, name, _, _ = self._pieces[-1]
        if name is not None or "." not in re.split(r"[/\\]", literal)[-1]:
            self.text += ".safetensors"
            self._pieces.append((".safetensors", None, "", None))

    def check_fields(self, callback: Callback, *, batches: bool) -> None:
        """Raise ValueError if a field will not be in the logs, as far as they are known.

        Parameters
        ----------
        callback
            Callback that saves.
        batches
            Whether it saves after batches, which have no validation metrics.
        """
        run = callback.run
        names = None if run is None else expected_log_names(run, callback)
        if names is None:
            return
        if batches:
            names = tuple(name for name in names if not name.startswith("val_"))
        for field in self.fields:
            if field not in (*_COUNTS, *names):
                raise ValueError(
                    f"filepath must have fields from {', '.join((*_COUNTS, *names))}, "
                    f"got {field!r}{did_you_mean(field, names)}"
                )

    def values(self, logs: Logs) -> Values:
        """Return the values of the fields from the logs.

        Raises
        ------
        ValueError
            A value is missing or not a number.
        """
        picked: Values = {}
        for name in self.fields:
            if name not in logs:
                raise ValueError(
                    f"filepath must have fields that are in the logs, got {name!r}; "
                    f"there are {', '.join(map(str, logs))}"
                )
            picked[name] = int(logs[name]) if name in _COUNTS else _number(name, logs[name])
        return picked

    def path(self, values: Values) -> Path:
        """Return the path with its fields filled.

        Raises
        ------
        ValueError
            A format is invalid for a number, or leads to another directory.
        """

        def field(name: str, spec: str) -> str:
            value = values[name] if name in _COUNTS else float(values[name])
            try:
                text = format(value, spec)
            except ValueError as error:
                raise ValueError(f"filepath has a wrong format for {name!r}, {spec!r}: {error}") from error
            if re.search(r"[/\\\0]", text):
                raise ValueError(f"filepath must stay in its directory, got {text!r} for {name!r}")
            return text

        return Path(self._filled(field))

    def _filled(self, field: Any) -> str:
        return "".join(
            literal + ("" if name is None else field(name, spec)) for literal, name, spec, _ in self._pieces
        )


def numbered(epoch: int, batch: int | None, logs: Logs) -> Logs:
    """Return the logs with the numbers of epoch and batch, from 1."""
    number = {} if batch is None else {"batch": batch + 1}
    return {**number, **logs, "epoch": epoch + 1}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"filepath must have fields that are numbers, got {value!r} for {name!r}") from None
