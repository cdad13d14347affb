"""A resumed training equals the uninterrupted one, to the bit."""

import numpy as np
import pytest

from onstage import Callback, StateError, hookimpl
from onstage.state import storage

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

EPOCHS, STEPS = 3, 4


class Killed(Exception):
    """Stands for the end of a process: only the file is kept."""


class SaveAndDie(Callback):
    """Writes the run's state after a number of batches, and raises."""

    def __init__(self, path, batches):
        self.path, self.left = path, batches

    @hookimpl(trylast=True)
    def on_train_batch_end(self):
        self.left -= 1
        if self.left == 0:
            storage.save(self.path, self.run.state_dict())
            raise Killed


class SaveAndDieAtEpochEnd(SaveAndDie):
    on_train_batch_end = None

    @hookimpl(trylast=True)
    def on_epoch_end(self):
        self.left -= 1
        if self.left == 0:
            storage.save(self.path, self.run.state_dict())
            raise Killed


class Resume(Callback):
    def __init__(self, path):
        self.path = path

    @hookimpl(tryfirst=True)
    def on_train_begin(self):
        self.run.load_state_dict(storage.load(self.path))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


def one_cycle(optimizer):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * STEPS)


def warm_restarts(optimizer):
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=1)
    steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2], gamma=0.5)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, steps], [1])


MODELS = {
    "adam, dropout": {"optimizer": adam},
    "momentum, average": {"use_ema": True, "ema_momentum": 0.8},
    "a rate for each batch": {"optimizer": adam, "scheduler": one_cycle, "schedule_on": "batch"},
    "nested schedulers": {"scheduler": warm_restarts},
    "accumulated, clipped": {"accumulate": 3, "clip_grad_norm": 0.5},
    "scaled float16": {"amp": "float16"},
}


def fit(new_model, data, options, callbacks=(), seed=21, kind="arrays"):
    model = new_model(dropout=0.4, metrics=["accuracy", "sparse_top_k_categorical_accuracy"], **options)
    torch.manual_seed(seed)
    if kind == "arrays":
        history = model.fit(
            *data, batch_size=10, epochs=EPOCHS, validation_data=data, callbacks=list(callbacks), verbose=0
        )
    else:
        dataset = TensorDataset(torch.from_numpy(data[0]), torch.from_numpy(data[1]))
        loader = DataLoader(dataset, 10, shuffle=True)
        history = model.fit(loader, epochs=EPOCHS, callbacks=list(callbacks), verbose=0)
    return model, history


def same_bits(one, other):
    return all((a == b).all() for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("kind", ["arrays", "loader"])
@pytest.mark.parametrize("name", MODELS)
def test_a_training_resumed_after_any_batch_ends_with_the_same_bits(name, kind, data, new_model, tmp_path):
    options = MODELS[name]
    whole, history = fit(new_model, data, options, kind=kind)

    for batches in (1, 3, 4, 6, 11):
        path = tmp_path / f"{batches}"
        with pytest.raises(Killed):
            fit(new_model, data, options, [SaveAndDie(path, batches)], kind=kind)
        resumed, again = fit(new_model, data, options, [Resume(path)], seed=99, kind=kind)

        assert same_bits(resumed, whole)
        assert again.history == history.history


@pytest.mark.parametrize("kind", ["arrays", "loader"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_training_resumed_after_an_epoch_ends_with_the_same_bits(epochs, kind, data, new_model, tmp_path):
    options = MODELS["nested schedulers"]
    whole, history = fit(new_model, data, options, kind=kind)

    with pytest.raises(Killed):
        fit(new_model, data, options, [SaveAndDieAtEpochEnd(tmp_path / "state", epochs)], kind=kind)
    resumed, again = fit(new_model, data, options, [Resume(tmp_path / "state")], seed=99, kind=kind)

    assert same_bits(resumed, whole)
    assert again.history == history.history


def test_a_seed_makes_a_training_repeatable(data, new_model):
    histories = []
    for _ in range(2):
        model = new_model(dropout=0.5)
        torch.manual_seed(int(np.random.default_rng().integers(2**31)))
        histories.append(model.fit(*data, epochs=2, seed=4, verbose=0).history)

    assert histories[0] == histories[1]


def test_a_saved_model_is_restored_to_the_bit(data, new_model, tmp_path):
    model = new_model(optimizer=adam, use_ema=True)
    model.fit(*data, epochs=2, verbose=0)
    model.save(tmp_path / "model.safetensors")

    other = new_model(optimizer=adam, use_ema=True)
    other.load(tmp_path / "model.safetensors")
    for each in (model, other):
        each.fit(*data, epochs=1, shuffle=False, verbose=0)

    assert same_bits(model, other)


def test_saved_weights_are_a_plain_safetensors_file_of_the_module(new_model, tmp_path):
    from safetensors.torch import load_file

    model, other = new_model(), new_model()
    model.set_weights([weight + 1 for weight in model.get_weights()])

    model.save_weights(tmp_path / "weights.safetensors")
    other.module.load_state_dict(load_file(tmp_path / "weights.safetensors"))

    assert same_bits(model, other)


def test_weights_are_read_from_files_of_either_kind(new_model, tmp_path):
    model = new_model()
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.save_weights(tmp_path / "weights")
    model.save(tmp_path / "whole")

    for name in ("weights", "whole"):
        other = new_model()
        other.load_weights(tmp_path / name)
        assert same_bits(model, other)


@pytest.mark.parametrize("name", ["model.pt", "model.keras"])
def test_a_writer_of_snapshots_is_refused_for_the_suffix_of_another_format(new_model, name):
    with pytest.raises(ValueError, match=r"filepath must not .*suffix of another format, got 'model"):
        new_model().snapshot_writer(name)


def test_an_existing_file_is_kept_without_overwrite(new_model, tmp_path):
    (tmp_path / "model").write_text("mine")

    with pytest.raises(FileExistsError, match=r"model' exists; pass overwrite=True to replace it"):
        new_model().save(tmp_path / "model", overwrite=False)
    assert (tmp_path / "model").read_text() == "mine"


def test_bfloat16_weights_survive_as_float32(tmp_path):
    module = nn.Linear(3, 2).bfloat16()
    model = TorchModel(module, adam, "mse", device="cpu")
    model.train_on_batch(np.ones((4, 3), np.float32), np.ones((4, 2), np.float32))
    before = [p.detach().clone() for p in module.parameters()]
    state = model.state_dict()
    storage.save(tmp_path / "state", state)

    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.load_state_dict(storage.load(tmp_path / "state"))

    assert model.get_weights()[0].dtype == np.float32
    assert all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    assert all(s["exp_avg"].dtype is torch.bfloat16 for s in model.optimizer.state.values())


def changed(state, *path, to):
    """Return a copy of a state with one value changed."""
    state = {**state}
    inner = state
    for key in path[:-1]:
        inner[key] = {**inner[key]}
        inner = inner[key]
    inner[path[-1]] = to
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {}, "must be one of a torch model, got one without"),
        (
            lambda s: changed(s, "weights", "0.weight", to=np.zeros((2, 2))),
            r"0.weight must have shape \(8, 6\)",
        ),
        (
            lambda s: changed(
                s, "weights", to={n.replace("0.weight", "0.wait"): w for n, w in s["weights"].items()}
            ),
            "weight '0.wait' is not the module's; did you mean '0.weight'",
        ),
        (lambda s: changed(s, "optimizer", to=None), "saved without a optimizer"),
        (lambda s: changed(s, "scheduler", to={}), "saved with a scheduler, this model is without"),
        (
            lambda s: changed(s, "optimizer", "param_groups", to=[]),
            r"groups of \[\] parameters, as when it was saved, got \[4\]",
        ),
        (lambda s: changed(s, "optimizer", to={"groups": 1}), "optimizer's state can't be read"),
        (lambda s: changed(s, "updates", "average", to=None), "saved without average"),
        (lambda s: changed(s, "updates", "waiting", to=3), "fewer than accumulate=1 pending batches, got 3"),
    ],
)
def test_a_state_that_does_not_fit_is_rejected_and_changes_nothing(change, message, data, new_model):
    model = new_model(use_ema=True)
    model.train_on_batch(*data)
    before = model.state_dict()

    with pytest.raises(StateError, match=message):
        model.load_state_dict(change(model.state_dict()))

    after = model.state_dict()
    np.testing.assert_equal(after, before)


def test_the_state_of_another_optimizer_is_rejected(data, new_model):
    with pytest.raises(StateError, match=r"of another optimizer than SGD: they differ in .*betas"):
        new_model().load_state_dict(new_model(optimizer=adam).state_dict())


def test_weights_of_another_number_or_shape_are_rejected_as_a_whole(new_model):
    model = new_model()
    weights = model.get_weights()

    with pytest.raises(ValueError, match="weights must be 4 arrays, as from get_weights, got 3"):
        model.set_weights(weights[:3])
    with pytest.raises(ValueError, match=r"2.weight|3.weight must have shape \(3, 8\), got \(8, 3\)"):
        model.set_weights([weights[0] + 1, weights[1], weights[2].T, weights[3]])
    assert all((a == b).all() for a, b in zip(model.get_weights(), weights, strict=True))


def test_returned_weights_are_copies(new_model):
    model = new_model()
    weights = model.get_weights()

    weights[0][:] = 7

    assert not (model.get_weights()[0] == 7).any()


def test_rates_of_several_groups_keep_their_proportion():
    body, head = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = [{"params": body.parameters(), "lr": 0.1}, {"params": head.parameters(), "lr": 0.4}]
    view = TorchModel.view(nn.Sequential(body, head), torch.optim.SGD(groups))

    view.learning_rate = 0.05
    halved = [group["lr"] for group in view.optimizer.param_groups]
    view.learning_rate = 0.0
    view.learning_rate = 1.0

    assert halved == [0.05, 0.2]
    assert [group["lr"] for group in view.optimizer.param_groups] == [1.0, 4.0]


def test_an_added_group_has_a_rate_too():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(first.parameters(), 0.5)
    view = TorchModel.view(nn.Sequential(first, second), optimizer)

    view.learning_rate = 0.0
    optimizer.add_param_group({"params": second.parameters(), "lr": 0.1})
    view.learning_rate = 0.25

    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


@pytest.mark.parametrize("rate", [-1.0, float("nan")])
def test_an_invalid_rate_is_rejected(rate, new_model):
    with pytest.raises(ValueError, match="learning_rate must be a number >= 0"):
        new_model().learning_rate = rate
