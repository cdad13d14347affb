"""Run callbacks inside another trainer: the base of an adapter.

An adapter is the other trainer's own kind of callback. It maps that trainer's
events to `HostCallback.begin` and `HostCallback.end`, its metrics to the names
of onstage by `split_metrics`, and its model to a `HostView`. See
``core/docs/hosts.md`` for a whole one, and `onstage.testing.check_host` for its test.
"""

from onstage.hosts._callback import HostCallback, settings_name_callbacks
from onstage.hosts._files import file_writer, map_arrays, state_from_text, state_to_text
from onstage.hosts._names import log_name, split_metrics
from onstage.hosts._rounds import RoundCallback, rounds_view, split_datasets, suffix_checker
from onstage.hosts._view import HostView

__all__ = [
    "HostCallback",
    "HostView",
    "RoundCallback",
    "file_writer",
    "log_name",
    "map_arrays",
    "rounds_view",
    "settings_name_callbacks",
    "split_datasets",
    "split_metrics",
    "state_from_text",
    "state_to_text",
    "suffix_checker",
]
