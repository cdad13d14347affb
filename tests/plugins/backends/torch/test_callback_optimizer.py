"""Callbacks written for Keras find its attributes on a torch optimizer, which stays what it was."""

import copy
import pickle

import numpy as np
import pytest

from onstage import Callback, Run

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402


def test_a_callback_halves_the_rate_by_the_names_of_both_keras_versions(data, new_model):
    class Halves(Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 1:
                self.model.optimizer.learning_rate.assign(self.model.optimizer.learning_rate * 0.5)
            if epoch == 2:
                self.model.optimizer.lr = self.model.optimizer.lr.numpy() / 2
            if epoch == 3:
                self.model.learning_rate.assign(0.01)

    rates = []

    class Reads:
        def on_epoch_end(self, run):
            rates.append(run.model.optimizer.param_groups[0]["lr"])

    new_model().fit(*data, epochs=4, verbose=0, callbacks=[Halves(), Reads()])

    assert rates == [0.1, 0.05, 0.025, 0.01]


def test_momentum_and_betas_are_set_in_all_groups_of_optimizers_that_have_them():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = [{"params": a.parameters()}, {"params": b.parameters(), "momentum": 0.5}]
    sgd = TorchModel.view(nn.ModuleList([a, b]), torch.optim.SGD(groups, lr=0.1, momentum=0.9)).optimizer
    adam = TorchModel.view(a, torch.optim.Adam(a.parameters(), betas=(0.8, 0.99))).optimizer

    sgd.momentum = 0.7
    adam.beta_1.assign(0.6)

    assert [group["momentum"] for group in sgd.param_groups] == [0.7, 0.7]
    assert adam.param_groups[0]["betas"] == (0.6, 0.99)
    assert (adam.beta_1, adam.beta_2) == (0.6, 0.99)
    assert not hasattr(sgd, "beta_1")
    assert not hasattr(adam, "momentum")
    with pytest.raises(ValueError, match=r"momentum must be .*, got 2"):
        sgd.momentum = 2


def test_iterations_counts_the_steps_that_changed_weights_and_is_saved(data, new_model, tmp_path):
    model = new_model(accumulate=2)
    model.fit(*data, batch_size=10, epochs=3, verbose=0)
    model.save(tmp_path / "model.safetensors")
    other = new_model(accumulate=2)
    before = other.optimizer.iterations
    other.load(tmp_path / "model.safetensors")

    assert before == 0
    assert model.optimizer.iterations == other.optimizer.iterations == 6
    assert type(model.optimizer.iterations.numpy()) is np.int64
    assert model.optimizer.iterations % 4 == 2
    model.optimizer.iterations.assign(9)
    assert model.optimizer.iterations.value == 9


def test_get_config_names_the_optimizer_with_its_options(new_model):
    config = new_model().optimizer.get_config()

    assert config["name"] == "sgd"
    assert (config["learning_rate"], config["momentum"], config["nesterov"]) == (0.1, 0.9, False)
    assert "params" not in config


def test_the_optimizer_stays_the_object_that_the_user_holds(data, new_module):
    module = new_module()
    own = torch.optim.Adam(module.parameters(), lr=0.01)
    model = TorchModel(module, own, "cross_entropy", device="cpu")
    extra = nn.Parameter(torch.zeros(1))

    assert model.optimizer is own
    assert isinstance(own, torch.optim.Adam)
    assert type(own).__name__ == "Adam"
    assert repr(own).startswith("Adam (")
    scheduler = torch.optim.lr_scheduler.StepLR(own, 1, gamma=0.5)
    loss = module(torch.from_numpy(data[0])).sum()
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss).backward()
    scaler.step(own)
    scaler.update()
    scheduler.step()
    own.add_param_group({"params": [extra], "lr": 0.1})
    own.zero_grad()

    assert own.learning_rate == 0.005
    assert own.iterations == 1
    assert len(own.state) == 4
    own.lr = 0.01
    assert [group["lr"] for group in own.param_groups] == [0.01, 0.2]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_copies_and_pickles_are_of_the_original_class(duplicate, data, new_model):
    model = new_model(optimizer=torch.optim.Adam)
    model.fit(*data, verbose=0)

    other = duplicate(model.optimizer)

    assert type(other) is torch.optim.Adam
    assert other.state_dict()["param_groups"] == model.optimizer.state_dict()["param_groups"]


def test_an_optimizers_own_attributes_keep_their_meaning():
    class Own(torch.optim.SGD):
        def __init__(self, parameters):
            super().__init__(parameters, lr=0.1)
            self.lr = "mine"

        def get_config(self):
            return "own"

    optimizer = Own(nn.Linear(1, 1).parameters())
    view = TorchModel.view(nn.Linear(1, 1), optimizer)

    assert (optimizer.lr, optimizer.get_config(), optimizer.learning_rate) == ("mine", "own", 0.1)
    assert view.optimizer is optimizer


def test_a_rate_under_a_scheduler_is_refused_by_every_name(new_model):
    model = new_model(scheduler=lambda each: torch.optim.lr_scheduler.StepLR(each, 1))

    for set_rate in (
        lambda: model.optimizer.learning_rate.assign(1),
        lambda: model.learning_rate.assign(1),
        lambda: setattr(model.optimizer, "lr", 1),
    ):
        with pytest.raises(TypeError, match="learning_rate follows StepLR and cannot be set"):
            set_rate()


def test_a_loop_of_ones_own_offers_the_same_attributes(new_module, data):
    module = new_module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    seen = []

    class Reads(Callback):
        def on_train_batch_end(self, batch):
            seen.append((int(self.model.optimizer.iterations), float(self.model.optimizer.lr)))

    with Run(TorchModel.view(module, optimizer), [Reads()]) as run:
        for _ in run.epochs():
            for x, y in run.batches([tuple(map(torch.from_numpy, data))] * 2):
                loss = nn.functional.cross_entropy(module(x), y)
                loss.backward()
                optimizer.step()
                run.log(loss=loss)

    assert seen == [(1, 0.1), (2, 0.1)]
