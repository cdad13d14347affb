"""Template: a file's path with fields for the epoch and the metrics."""

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
"""What the fields of one file are filled with."""

_COUNTS = ("epoch", "batch")


class Template:
    """A path whose fields, in braces, are filled with numbers.

    Parameters
    ----------
    filepath
        As for ``str.format``, with named fields and no attributes or indices.

    Attributes
    ----------
    text
        The template, with a suffix.
    fields
        The names in it.
    fields_in_name
        Whether the last part has fields, so that several files come of it.

    Raises
    ------
    TypeError, ValueError
        It is no path, or its braces are wrong.
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
        # Behind the last separator that is not itself in a field.
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
        """Refuse a field that will not be in the logs, where those are known.

        Parameters
        ----------
        callback
            The one that saves.
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
        """Pick the fields out of the logs.

        Raises
        ------
        ValueError
            One is missing, or not a number.
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
        """Fill the fields.

        Raises
        ------
        ValueError
            A format does not fit a number, or leads to another directory.
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


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"filepath must have fields that are numbers, got {value!r} for {name!r}") from None
