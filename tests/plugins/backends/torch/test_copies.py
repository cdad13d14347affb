"""Copies to a device, as far as they can be seen without a GPU; see test_gpu.py."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onstage_torch.data.batches import make_batches  # noqa: E402
from onstage_torch.state_encoding import seed_generators  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

aten = torch.ops.aten
CPU = torch.device("cpu")


class Calls(TorchDispatchMode):
    """Counts the operators that are called; allocates pinned memory as plain memory, and notes where."""

    def __init__(self):
        super().__init__()
        self.counts, self.pinned = {}, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        pinned = kwargs.pop("pin_memory", None)
        result = function(*args, **kwargs)
        self.counts[function] = self.counts.get(function, 0) + 1
        if pinned:
            self.pinned.add(result.data_ptr())
        return result


def test_the_order_of_a_pass_is_moved_to_a_device_once_and_not_at_all_if_all_rows_are_on_the_host():
    x, y = torch.arange(20.0).reshape(10, 2), torch.arange(10)
    for parts, moves in (((x.to("meta"), y.to("meta")), 1), ((x, y.to("meta")), 1), ((x, y), 0)):
        batches = make_batches(*parts, batch_size=2, shuffle=True, rng=np.random.default_rng(0))

        with Calls() as calls:
            seen = [(a.device.type, b.device.type) for _ in range(3) for a, b, _ in batches]

        assert seen == [(parts[0].device.type, parts[1].device.type)] * 15
        assert calls.counts.get(aten._to_copy.default, 0) == 3 * moves
        assert calls.counts[aten.index_select.default] == 2 * 15


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("world", [1, 2])
def test_rows_are_gathered_in_the_order_that_the_generator_draws(world, pinned):
    x, y = np.arange(22, dtype=np.float32).reshape(11, 2), np.arange(11)
    batches = make_batches(x, y, batch_size=4, shuffle=True, rng=np.random.default_rng(5), pinned=pinned)
    if world > 1:
        batches.shard(1, world, 0, training=True)
    expected = np.random.default_rng(5)

    with Calls() as calls:
        for _ in range(2):
            order = expected.permutation(11)
            for number, (a, b, _) in enumerate(batches):
                rows = order[4 * number : 4 * number + 4]
                rows = rows if world == 1 else rows[1::2]
                np.testing.assert_array_equal(a, x[rows])
                np.testing.assert_array_equal(b, y[rows])
                assert ({a.data_ptr(), b.data_ptr()} <= calls.pinned) is pinned


def test_seeding_one_device_draws_the_numbers_of_torchs_manual_seed():
    torch.manual_seed(2**63 + 5)
    expected = torch.rand(100)
    torch.rand(3)

    seed_generators(2**63 + 5, CPU)

    assert torch.equal(torch.rand(100), expected)
