"""Find the stages that the objects of a class implement once, not for each object."""

from __future__ import annotations

import types
from weakref import WeakKeyDictionary

from onstage.bus import _validation
from onstage.bus._validation import Implementation, StageRegistry

_by_class: WeakKeyDictionary[type, tuple[object, list[Implementation]]] = WeakKeyDictionary()
"""The stages that the objects of a class implement, with the contents of the class at that time."""


def _contents(plugin: object, bus: StageRegistry) -> object:
    """Return what decides on the stages of a plugin; None if it isn't its class alone.

    Ids, as a value may have an `==` of its own, and references would keep the
    class alive: a method that replaces another is made while that one exists.
    """
    own = getattr(plugin, "__dict__", {})
    if isinstance(plugin, (type, types.ModuleType)) or getattr(plugin, "skips", None):
        return None
    stages = bus.stage_names()
    if not own.keys().isdisjoint(stages):
        return None
    for name, value in own.items():
        if name.startswith("on_") or hasattr(value, "onstage_impl"):
            return None
    bases = [vars(base) for base in type(plugin).__mro__[:-1]]
    return stages, [(*each, *map(id, each.values())) for each in bases]


def implementations(plugin: object, bus: StageRegistry) -> list[Implementation]:
    """Return what `_validation.implementations` does.

    It is known of a class, unless an object has its own methods or the class
    has changed since.
    """
    kind = type(plugin)
    contents = _contents(plugin, bus)
    known = None if contents is None else _by_class.get(kind)
    if known is not None and known[0] == contents:
        return known[1]
    is_stage = frozenset(bus.stage_names()).__contains__
    found = _validation.implementations(plugin, bus)
    # A stage that a package brings could be gone next time, and an adapter calls one object's method.
    if contents is not None and all(is_stage(each.stage) and each.adapter is None for each in found):
        _by_class[kind] = contents, found
    return found
