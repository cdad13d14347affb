"""The program behind a saved run: what it must have in common with the one that resumes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onstage.model import State

_IGNORED = (
    *("verbose", "save_freq", "save_before_preemption", "double_checkpoint"),
    *("delete_checkpoint", "max_to_keep", "save_in_background"),
)
"""Options that change what is shown and saved, not what is trained."""

_Record = Mapping[str, Any]


def of_run(run: Any) -> State:
    """Return what decides how a run trains, as it is before the first epoch.

    Its seed and sizes, and the loss, optimizer and metrics of its model; not
    its callbacks, which `History.plugins` has.
    """
    model = run.model
    if hasattr(model, "fingerprint"):
        described = model.fingerprint()
    else:
        described = {
            "optimizer": type(getattr(model, "optimizer", None)).__name__,
            "learning_rate": _plain(getattr(model, "learning_rate", None)),
        }
    sizes = {name: run.params.get(name) for name in ("steps", "batch_size", "samples")}
    return {"seed": run.seed, **sizes, "model": described}


def match_callbacks(saved: Sequence[_Record], present: Sequence[_Record]) -> dict[str, str]:
    """Return a dict from names of callbacks to the names that they had in the saved run.

    A name has the position among callbacks of one class, which changes if one
    is added or moved: the options come first, then the position.
    """
    found: dict[str, str] = {}
    for same in (_same_options, _same_class):
        for record in present:
            if record["name"] in found:
                continue
            free = [one for one in saved if one["name"] not in found.values() and same(one, record)]
            if free:
                found[record["name"]] = next(
                    (one["name"] for one in free if one["name"] == record["name"]), free[0]["name"]
                )
    return found


def _same_class(one: _Record, other: _Record) -> bool:
    return _class_of(one) == _class_of(other)


def _same_options(one: _Record, other: _Record) -> bool:
    return _same_class(one, other) and one["options"] == other["options"]


def _class_of(record: _Record) -> tuple[object, str]:
    return record["distribution"], re.sub(r"-\d+$", "", record["name"])


def valid_records(saved: object) -> list[_Record]:
    """Return the records of callbacks in a file that are whole, without what is no option."""
    return [
        {**one, "options": {name: value for name, value in one["options"].items() if _is_plain(value)}}
        for one in (saved if isinstance(saved, list) else ())
        if isinstance(one, dict)
        and isinstance(one.get("name"), str)
        and isinstance(one.get("options"), dict)
        and {"distribution", "version"} <= one.keys()
        and _is_plain(one["distribution"])
        and _is_plain(one["version"])
    ]


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))


def describe_differences(
    saved: Sequence[_Record], present: Sequence[_Record], names: Mapping[str, str]
) -> Iterator[str]:
    """Yield a text for each version or option of a matched callback that differs."""
    earlier = {one["name"]: one for one in saved}
    for record in present:
        before = earlier.get(names.get(record["name"], ""))
        if before is None:
            continue
        if before["version"] != record["version"]:
            yield _change(f"the version of {record['distribution']}", before["version"], record["version"])
        for option, value in record["options"].items():
            earlier_value = before["options"].get(option, value)
            if earlier_value != value and option not in _IGNORED and not _is_path(value):
                yield _change(f"{option} of {record['name']}", earlier_value, value)


def compare(saved: object, now: object, path: str = "") -> Iterator[str]:
    """Yield a text for each value that differs; what one of them lacks is not compared."""
    if isinstance(saved, dict) and isinstance(now, dict):
        for name in now:
            if name in saved:
                yield from compare(saved[name], now[name], f"{path}.{name}" if path else name)
    elif isinstance(saved, list) and isinstance(now, (list, tuple)) and len(saved) == len(now):
        for number, (before, after) in enumerate(zip(saved, now, strict=True)):
            yield from compare(before, after, f"{path}[{number}]")
    elif _is_plain(saved) and _is_plain(now) and None not in (saved, now) and saved != now:
        yield _change(path, saved, now)


def has_other_data(state: State | None, fingerprint: State) -> bool:
    """Return whether a saved run had data with another digest."""
    saved = (state or {}).get("fingerprint")
    before = saved.get("data") if isinstance(saved, dict) else None
    return isinstance(before, str) and fingerprint["data"] not in (None, before)


def _change(what: str, before: object, after: object) -> str:
    return f"{what} is {_brief(after)}, was {_brief(before)}"


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _is_path(value: object) -> bool:
    """Return whether a value may be a path: a project that was moved is the same one."""
    return isinstance(value, str) and ("/" in value or "\\" in value)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, (int, float)) else None
