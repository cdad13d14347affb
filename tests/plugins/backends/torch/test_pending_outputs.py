"""Outputs of predictions on their way to the host, as if the CPU were a GPU; see test_gpu.py."""

import numpy as np
import pytest

from onstage import Callback
from onstage.hookspecs import ignores_logs

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from onstage_torch.pending_outputs import OutputQueue  # noqa: E402

CPU = torch.device("cpu")


def test_outputs_keep_their_values_until_they_are_read():
    queue, outputs = OutputQueue(CPU), torch.arange(3.0)

    first = queue.add({"a": outputs, "b": (outputs.bfloat16(), 7)})
    outputs += 10
    second = queue.add({"a": outputs, "b": (outputs, 8)})

    assert queue.nbytes == 4 * 12
    assert first.read()["a"].tolist() == [0.0, 1.0, 2.0]
    assert first.read()["b"][0].dtype == np.float32
    assert second.read()["b"][0].tolist() == [10.0, 11.0, 12.0]
    assert second.read()["b"][1] == 8


def test_outputs_on_the_way_are_limited_in_bytes():
    queue = OutputQueue(CPU, limit=100)

    added = [queue.add(torch.full((10,), float(number))) for number in range(9)]

    assert queue.nbytes == 80
    assert [each.read()[0] for each in added] == list(range(9))


class Late(TorchModel):
    """Queues outputs on the CPU as on a GPU."""

    def predict_step_async(self, batch):
        return self._pending.add(self._forward.predict(batch[0]))


def test_queued_outputs_are_joined_in_order(data, new_module):
    model = Late(new_module(), device="cpu")

    queued = model.predict(data[0], batch_size=7, verbose=0)

    np.testing.assert_array_equal(queued, TorchModel(new_module()).predict(data[0], batch_size=7, verbose=0))
    assert model._pending.nbytes == 0


def test_outputs_are_queued_unless_a_callback_reads_them(data, new_module):
    rows = []

    class Reads(Callback):
        def on_predict_batch_end(self, logs):
            rows.append(logs["outputs"].shape[0])

    class Counts(Callback):
        @ignores_logs
        def on_predict_batch_end(self, batch, logs=None):
            queued.append(self.model._pending.nbytes)

    queued = []
    model = Late(new_module(), device="cpu")
    model.predict(data[0], batch_size=16, verbose=0, callbacks=[Counts()])
    model.predict(data[0], batch_size=16, verbose=1)
    assert queued == [192, 384, 480]

    model.predict(data[0], batch_size=16, verbose=0, callbacks=[Counts(), Reads()])
    assert queued[3:] == [0, 0, 0]
    assert rows == [16, 16, 8]
