"""CheckpointFiles: the files of one ModelCheckpoint, the newest and the best among them."""

from __future__ import annotations

import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from onstage.errors import warn
from onstage.model import State
from onstage.state import storage
from onstage.state.atomic import write_atomic
from onstage.validation import validate_state
from onstage_model_checkpoint.template import Template, Values


class CheckpointFiles:
    """The files that were saved, of which old ones are deleted.

    Parameters
    ----------
    template
        Template of their paths.
    max_to_keep
        Number of newest files to keep, beside the best one; None keeps all.
    """

    def __init__(self, template: Template, max_to_keep: int | None) -> None:
        self._template = template
        self._max_to_keep = max_to_keep
        self._saved: dict[Path, Values] = {}
        self._best: Path | None = None

    def __len__(self) -> int:
        """Return the number of files that were not deleted."""
        return len(self._saved)

    def add(self, path: Path, values: Values, *, is_best: bool) -> None:
        """Record a file that is on disk, point to it, and delete old ones."""
        if is_best:
            self._best = path
        # By path, not by values: rounded in the name, two values may be one file.
        self._saved.pop(path, None)
        self._saved[path] = values
        if self._template.fields_in_name:
            for pointer in ("latest", "best") if is_best else ("latest",):
                write_atomic(path.parent / pointer, [os.fsencode(path.name) + b"\n"])
        self._delete_old()

    def _delete_old(self) -> None:
        if self._max_to_keep is None:
            return
        for path in list(self._saved)[: -self._max_to_keep]:
            if path != self._best and _delete(path):
                del self._saved[path]

    def state_dict(self) -> State:
        """Return the field values of the files."""
        best = None if self._best is None else self._saved.get(self._best)
        return {"saved": [dict(values) for values in self._saved.values()], "best_saved": best}

    def load_state_dict(self, state: State) -> None:
        """Continue with the files of a `state_dict`; raise StateError if it is invalid."""
        saved, best = validate_state(state, saved=list, best_saved=(dict, type(None)))
        # Numbers, not paths, so that a state file cannot name a file to delete.
        # Values of a template with other fields are ignored.
        fields = set(self._template.fields)
        ours = [self._template.values(one) for one in saved if set(one) == fields]
        self._saved = {self._template.path(values): values for values in ours}
        is_ours = best is not None and set(best) == fields
        self._best = self._template.path(self._template.values(best)) if is_ours else None


def snapshot_writer(model: Any, filepath: str | PathLike[str], weights_only: bool) -> Callable[..., None]:
    """Return the function of a path and a state that writes as the model's ``save`` does.

    Raises
    ------
    ValueError
        If the model has no format with the suffix of this path.
    """
    offered = getattr(model, "snapshot_writer", None)
    return storage.save if offered is None else offered(filepath, weights_only)


def _delete(path: Path) -> bool:
    """Delete a file; if that fails, warn and return False."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        warn(f"could not delete the old file '{path}': {error.strerror}")
        return False
    return True
