"""on_optimizer_step_begin on torch: the tensors that the optimizer is about to use."""

import pytest

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402

from onstage import Callback, Run  # noqa: E402


class Halves(Callback):
    def __init__(self):
        self.batches = []

    def on_optimizer_step_begin(self, batch, gradients):
        self.batches.append(batch)
        for gradient in gradients:
            gradient.mul_(0.5)


def by_hand(module, batches, scale):
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for x, y in batches:
        optimizer.zero_grad()
        (nn.functional.cross_entropy(module(x), y) * scale).backward()
        optimizer.step()
    return module


def assert_equal(one, other):
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.fixture
def batches(data):
    x, y = map(torch.from_numpy, data)
    return list(zip(x.split(8), y.split(8), strict=True))


@pytest.mark.parametrize("amp", [None, "float16"])
def test_a_change_in_place_changes_the_update(amp, batches, new_module):
    if amp is None:
        module = new_module()
        model = TorchModel(module, torch.optim.SGD(module.parameters(), 0.1), "cross_entropy", device="cpu")
        model.fit(batches, callbacks=[Halves()], verbose=0)
        assert_equal(module, by_hand(new_module(), batches, 0.5))
    else:  # unscaled before the callbacks see them
        module, largest = new_module(), []

        class Looks(Callback):
            def on_optimizer_step_begin(self, gradients):
                largest.append(max(float(each.abs().max()) for each in gradients))

        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        TorchModel(module, optimizer, "cross_entropy", device="cpu", amp=amp).fit(
            batches, callbacks=[Looks()], verbose=0
        )
        assert 0 < max(largest) < 10


def test_it_fires_once_for_batches_that_are_accumulated(batches, new_model):
    halves = Halves()

    new_model(accumulate=2).fit(batches, callbacks=[halves], verbose=0)

    assert halves.batches == [1, 3, 4]  # the last step takes what is left


def test_frozen_parameters_are_left_out(batches, new_module):
    module, shapes = new_module(), []
    module[0].requires_grad_(False)

    class Looks(Callback):
        def on_optimizer_step_begin(self, gradients):
            shapes.append([tuple(each.shape) for each in gradients])

    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    TorchModel(module, optimizer, "cross_entropy", device="cpu").fit(
        batches[:1], callbacks=[Looks()], verbose=0
    )

    assert shapes == [[(3, 8), (3,)]]


def test_a_loop_of_ones_own_has_them_through_its_view(batches, new_module):
    module, halves = new_module(), Halves()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    with Run(TorchModel.view(module, optimizer), [halves]) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(x), y).backward()
                optimizer.step()
    assert halves.batches == [0, 1, 2, 3, 4]
    assert_equal(module, by_hand(new_module(), batches, 0.5))

    optimizer.step()  # the run is over: nobody is called
    assert len(halves.batches) == 5


def test_a_view_without_an_optimizer_is_refused(new_module):
    with (
        Run(TorchModel.view(new_module()), [Halves()]) as run,
        pytest.raises(TypeError, match="gradients need an optimizer"),
    ):
        run.epochs()
