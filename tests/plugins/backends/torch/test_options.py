"""Options of the computation: compilation, clipping, determinism, memory format, ragged outputs."""

import numpy as np
import pytest

from onstage import Callback

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402


def test_training_evaluation_and_prediction_run_the_compiled_module(data, new_model):
    compiled = []

    def backend(graph, example_inputs):
        compiled.append(torch.is_grad_enabled())
        return graph.forward

    model = new_model(compile={"backend": backend, "dynamic": False})
    model.fit(*data, batch_size=40, verbose=0)
    after_fit = len(compiled)
    model.evaluate(*data, batch_size=40, verbose=0)
    after_evaluate = len(compiled)

    assert after_fit == 1
    assert after_evaluate == 2
    outputs = model.predict(data[0], batch_size=40, verbose=0)
    np.testing.assert_allclose(outputs, model(data[0]).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("batch_size", "graphs"), [(20, 1), (16, 2)])
@pytest.mark.parametrize("dynamic", [None, False])
def test_a_short_last_batch_is_compiled_once_more_for_all_epochs(
    dynamic, batch_size, graphs, data, new_model
):
    compiled = []

    def backend(graph, example_inputs):
        compiled.append(graph)
        return graph.forward

    torch.compiler.reset()  # It remembers sizes that have changed before.
    model = new_model(compile={"backend": backend, "dynamic": dynamic})
    history = model.fit(*data, batch_size=batch_size, epochs=4, verbose=0, seed=1)

    assert len(compiled) == graphs
    plain = new_model().fit(*data, batch_size=batch_size, epochs=4, verbose=0, seed=1)
    assert history.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("compile", "error", "message"),
    [
        ("fast", ValueError, "compile must be .*'default', 'reduce-overhead'.*, got 'fast'"),
        ({"modes": "x"}, TypeError, r"torch.compile has no argument 'modes'.*'mode'"),
        (1, TypeError, "compile must be a bool, a mode or a dict"),
    ],
)
def test_invalid_arguments_of_the_compiler_are_refused(compile, error, message, new_model):
    with pytest.raises(error, match=message):
        new_model(compile=compile)


def test_an_optimizer_that_needs_a_closure_is_refused(new_model):
    with pytest.raises(TypeError, match="optimizer must step without a closure, got LBFGS; use it in a loop"):
        new_model(optimizer=torch.optim.LBFGS)


def test_several_optimizers_are_refused_with_the_way_to_use_them():
    module = nn.Linear(1, 1)
    optimizers = [torch.optim.SGD([each]) for each in module.parameters()]

    with pytest.raises(TypeError, match=r"must be one optimizer, got several in a list; .* TorchModel\.view"):
        TorchModel(module, optimizers, "mse")


@pytest.mark.parametrize("device", [[0, 1], ("cpu",), True, None])
def test_several_devices_are_refused(device):
    with pytest.raises(
        TypeError, match=r"device must be one device.*start one process for each with torchrun"
    ):
        TorchModel(nn.Linear(1, 1), device=device)


@pytest.mark.parametrize(
    ("amp", "meant"),
    [("bf16", "bfloat16"), ("bf16-mixed", "bfloat16"), (True, "bfloat16"), ("16-mixed", "float16")],
)
def test_other_names_of_mixed_precision_are_refused_with_the_right_one(amp, meant):
    with pytest.raises(ValueError, match=f"amp must be .*, got {amp!r}; write amp='{meant}'"):
        TorchModel(nn.Linear(1, 1), amp=amp)


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"amp": "float16"}], ids=str)
def test_each_element_of_the_gradients_is_clipped(options, data, new_model):
    largest = []

    class Reads(Callback):
        def on_optimizer_step_begin(self, gradients):
            largest.append(max(float(each.abs().max()) for each in gradients))

    new_model(clip_grad_value=0.003, **options).fit(*data, batch_size=10, verbose=0, callbacks=[Reads()])

    assert largest == pytest.approx([0.003] * len(largest))
    with pytest.raises(ValueError, match="got both; choose one"):
        new_model(clip_grad_value=1.0, clip_grad_norm=1.0)


def test_only_the_training_is_deterministic(data, new_model):
    seen = []

    class Reads(Callback):
        def on_train_batch_end(self):
            seen.append(torch.are_deterministic_algorithms_enabled())

    new_model(deterministic=True).fit(*data, verbose=0, callbacks=[Reads()])

    assert seen == [True, True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_images_reach_the_module_with_the_channels_last():
    strides = []

    class Reads(nn.Conv2d):
        def forward(self, x):
            strides.append(x.is_contiguous(memory_format=torch.channels_last))
            return super().forward(x).flatten(1)

    model = TorchModel(Reads(3, 2, 4), torch.optim.SGD, "cross_entropy", device="cpu", channels_last=True)
    model.fit(np.zeros((6, 3, 4, 4), np.float32), np.arange(6) % 2, batch_size=3, verbose=0)
    model.predict(np.zeros((6, 3, 4, 4), np.float32), verbose=0)

    assert strides == [True] * 3
    assert model.module.weight.is_contiguous(memory_format=torch.channels_last)


def test_outputs_of_different_lengths_are_a_list_of_one_for_each_sample():
    batches = [torch.ones(2, 3), torch.ones(1, 5) * 2]
    model = TorchModel(nn.Identity(), device="cpu")

    outputs = model.predict(DataLoader(batches, batch_size=None), verbose=0)

    assert [each.tolist() for each in outputs] == [[1.0] * 3, [1.0] * 3, [2.0] * 5]
