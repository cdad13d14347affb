"""Run callbacks inside another trainer: the base of an adapter.

An adapter is the other trainer's own kind of callback. It maps that trainer's
events to `HostCallback.begin` and `HostCallback.end`, its metrics to the names
of onstage by `split_metrics`, and its model to a `HostView`. See
``core/docs/hosts.md`` for a whole one, and `onstage.testing.check_host` for its test.
"""

from onstage.hosts._callback import HostCallback, settings_name_callbacks
from onstage.hosts._files import file_writer, map_arrays
from onstage.hosts._names import log_name, split_metrics
from onstage.hosts._view import HostView

__all__ = [
    "HostCallback",
    "HostView",
    "file_writer",
    "log_name",
    "map_arrays",
    "settings_name_callbacks",
    "split_metrics",
]
