"""For authors of plugins: try a callback without a model or a training.

`replay` runs a callback through scripted logs, `Recorder` notes every stage,
`FakeModel` is a model whose weights can be told by counting, `check_callback`
is the conformance that the built-in callbacks pass, `PluginSite` installs real
little distributions for a test. The pytest fixture is in `onstage.testing.fixtures`;
nothing else here needs pytest.
"""

from onstage.testing.conformance import CHECKS, check_callback
from onstage.testing.fake_model import FakeModel
from onstage.testing.recorder import Event, Recorder
from onstage.testing.replay import Replay, replay
from onstage.testing.site import PluginSite

__all__ = ["CHECKS", "Event", "FakeModel", "PluginSite", "Recorder", "Replay", "check_callback", "replay"]
