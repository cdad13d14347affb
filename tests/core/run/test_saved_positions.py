"""The position of a run is saved between batches, and is that of the loop that the user wrote."""

import numpy as np
import pytest

from onstage import Callback, Run
from onstage.data import as_batches
from onstage.testing import FakeModel


class Keeps(Callback):
    """Keeps the state at the end of an epoch."""

    def __init__(self, epoch):
        self.at, self.state = epoch, None

    def on_epoch_end(self, epoch):
        if epoch == self.at:
            self.state = self.run.state_dict()


def test_an_epoch_after_one_that_was_left_early_resumes_at_its_first_batch():
    def train(run, seen):
        batches = as_batches(np.arange(6.0), None, batch_size=2)
        for epoch in run.epochs():
            for x, *_ in run.batches(batches):
                seen.append((epoch, float(x[0])))
                run.log(loss=1.0)
                break

    keeps, seen = Keeps(0), []
    with Run(FakeModel(), [keeps], epochs=2) as run:
        train(run, seen)
    resumed = []
    with Run(FakeModel(), [], epochs=2) as run:
        run.load_state_dict(keeps.state)
        train(run, resumed)

    assert seen == [(0, 0.0), (1, 0.0)]
    assert resumed == [(1, 0.0)]


class SavesAtTheBeginning(Callback):
    def on_train_batch_begin(self):
        self.run.state_dict()


@pytest.mark.parametrize("callbacks", [[SavesAtTheBeginning()], []], ids=["in a begin stage", "in the loop"])
def test_a_state_that_is_saved_inside_a_batch_is_refused(callbacks):
    with (
        pytest.raises(
            RuntimeError, match=r"run\.state_dict must be called in an end stage, not inside a batch"
        ),
        Run(FakeModel(), callbacks, epochs=1) as run,
    ):
        for _ in run.epochs():
            for _ in run.batches([1, 2]):
                run.state_dict()
