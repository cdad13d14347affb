"""Test callbacks without a model or a training, for plugin authors.

`replay` runs a callback through scripted logs, `Recorder` records every stage,
`FakeModel` is a model whose weights follow from its step count, `check_callback`
runs the conformance checks that the built-in callbacks pass, `check_host` those
of an adapter for another trainer, and `PluginSite` installs small distributions
for a test. The pytest fixture is in `onstage.testing.fixtures`; the other modules
don't need pytest.
"""

from onstage.testing.check_host import HOST_CHECKS, check_host
from onstage.testing.check_host_training import HostTraining, MakeTraining
from onstage.testing.conformance import CHECKS, check_callback
from onstage.testing.fake_model import FakeModel
from onstage.testing.recorder import Event, Recorder
from onstage.testing.replay import Replay, replay
from onstage.testing.site import PluginSite

__all__ = [
    "CHECKS",
    "HOST_CHECKS",
    "Event",
    "FakeModel",
    "HostTraining",
    "MakeTraining",
    "PluginSite",
    "Recorder",
    "Replay",
    "check_callback",
    "check_host",
    "replay",
]
