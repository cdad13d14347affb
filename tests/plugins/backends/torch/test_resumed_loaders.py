"""An epoch of a DataLoader that is resumed in the middle sees each sample once."""

from collections import Counter

import pytest

from onstage import Callback, ModelView, OnstageWarning, Run, hookimpl
from onstage.state import storage

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler  # noqa: E402

N, EPOCHS = 80, 3


class Killed(Exception):
    """Stands for the end of a process: only the file is kept."""


class SaveAndDie(Callback):
    def __init__(self, path, epoch, batches):
        self.path, self.at = path, (epoch, batches)

    @hookimpl(trylast=True)
    def on_train_batch_end(self, batch):
        if (self.run.epoch, batch + 1) == self.at:
            storage.save(self.path, self.run.state_dict())
            raise Killed


class Resume(Callback):
    def __init__(self, path):
        self.path = path

    @hookimpl(tryfirst=True)
    def on_train_begin(self):
        self.run.load_state_dict(storage.load(self.path))


class Numbers(Dataset):
    """Samples that are their number, beside a random one: a transform."""

    def __len__(self):
        return N

    def __getitem__(self, number):
        return torch.tensor([float(number), float(torch.rand(()))]), torch.tensor([0.0])


class WithWorkers(DataLoader):
    def __iter__(self):
        self.made = super().__iter__()
        return self.made


class Stream(IterableDataset):
    def __iter__(self):
        dataset = Numbers()
        return (dataset[number] for number in torch.randperm(N).tolist())


LOADERS = {
    "shuffled": lambda: DataLoader(Numbers(), 8, shuffle=True),
    "own generator": lambda: DataLoader(
        Numbers(), 8, shuffle=True, generator=torch.Generator().manual_seed(int(torch.randint(99, ())))
    ),
    "batch sampler": lambda: DataLoader(
        Numbers(), batch_sampler=BatchSampler(RandomSampler(Numbers()), 8, drop_last=False)
    ),
    "stream": lambda: DataLoader(Stream(), 8),
    "workers": lambda: WithWorkers(Numbers(), 8, shuffle=True, num_workers=1),
    "persistent workers": lambda: WithWorkers(
        Numbers(), 8, shuffle=True, num_workers=1, persistent_workers=True
    ),
}


class Seen(Callback):
    """Records the batches' samples by epoch."""

    def __init__(self):
        self.samples = {}

    def on_train_batch_begin(self):
        x = self.run.batch_data[0]
        self.samples.setdefault(self.run.epoch, []).extend(map(tuple, x.tolist()))

    def numbers(self, epoch):
        return Counter(int(number) for number, _ in self.samples.get(epoch, []))


def fit(loader, callbacks):
    module = nn.Linear(2, 1)
    model = TorchModel(module, torch.optim.SGD(module.parameters(), lr=1e-6), "mse", device="cpu")
    model.fit(loader, epochs=EPOCHS, verbose=0, callbacks=callbacks)


def own_loop(loader, callbacks):
    module = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6)
    with Run(TorchModel.view(module, optimizer), callbacks, epochs=EPOCHS) as run:
        for _ in run.epochs():
            for x, y in run.batches(loader):
                loss = nn.functional.mse_loss(module(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss)


def killed_and_resumed(train, make_loader, path, epoch, batches):
    """Return the samples seen by a whole training, and by one in two processes."""
    torch.manual_seed(1)
    whole = Seen()
    loader = make_loader()
    train(loader, [whole])
    end_workers(loader)
    torch.manual_seed(1)
    before, after = Seen(), Seen()
    loader = make_loader()
    with pytest.raises(Killed):
        train(loader, [before, SaveAndDie(path, epoch, batches)])
    end_workers(loader)
    torch.manual_seed(2)
    loader = make_loader()
    train(loader, [after, Resume(path)])
    end_workers(loader)
    return whole, before, after


def end_workers(loader):
    """End workers at once: the collector of cycles would wait for each of them."""
    if loader.num_workers:
        loader.made._shutdown_workers()


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("kind", [each for each in LOADERS if each != "persistent workers"])
@pytest.mark.parametrize("train", [fit, own_loop])
def test_a_resumed_epoch_has_the_rest_of_the_samples_and_transforms_to_the_bit(train, kind, epoch, tmp_path):
    whole, before, after = killed_and_resumed(train, LOADERS[kind], tmp_path / "state", epoch, batches=3)

    assert len(before.samples[epoch]) == 24
    assert before.samples[epoch] + after.samples[epoch] == whole.samples[epoch]
    assert all(after.samples[later] == whole.samples[later] for later in range(epoch + 1, EPOCHS))
    assert whole.numbers(1) == Counter(range(N))


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("train", [fit, own_loop])
def test_persistent_workers_see_each_sample_once_and_their_transforms_are_warned_of(train, epoch, tmp_path):
    def resumed():
        return killed_and_resumed(train, LOADERS["persistent workers"], tmp_path / "state", epoch, 3)

    if epoch:
        with pytest.warns(OnstageWarning, match="transforms in its persistent workers can't be restored"):
            whole, before, after = resumed()
    else:
        whole, before, after = resumed()

    for each in range(epoch, EPOCHS):
        assert before.numbers(each) + after.numbers(each) == Counter(range(N)) or each > epoch
        assert after.numbers(each) == Counter(range(N)) or each == epoch
    numbers = [[int(n) for n, _ in seen.samples[epoch]] for seen in (before, after, whole)]
    assert numbers[0] + numbers[1] == numbers[2]
    if not epoch:  # The workers began in this epoch: their transforms are the same, too.
        assert before.samples[0] + after.samples[0] == whole.samples[0]


def test_an_own_loop_saved_at_the_end_of_an_epoch_resumes_with_the_same_order(tmp_path):
    class SaveAtEpochEnd(SaveAndDie):
        on_train_batch_end = None

        @hookimpl(trylast=True)
        def on_epoch_end(self):
            storage.save(self.path, self.run.state_dict())
            raise Killed

    torch.manual_seed(1)
    whole, after = Seen(), Seen()
    own_loop(LOADERS["shuffled"](), [whole])
    torch.manual_seed(1)
    with pytest.raises(Killed):
        own_loop(LOADERS["shuffled"](), [SaveAtEpochEnd(tmp_path / "state", 0, 0)])
    own_loop(LOADERS["shuffled"](), [after, Resume(tmp_path / "state")])

    assert after.samples == {1: whole.samples[1], 2: whole.samples[2]}


def test_a_loop_without_epochs_resumes_its_loader(tmp_path):
    def steps(loader, callbacks):
        module = nn.Linear(2, 1)
        view = TorchModel.view(module, torch.optim.SGD(module.parameters(), lr=1e-6))
        with Run(view, callbacks) as run:
            for _ in run.steps(loader):
                run.log(loss=1.0)

    _, before, after = killed_and_resumed(steps, LOADERS["shuffled"], tmp_path / "state", 0, 3)

    assert before.numbers(0) + after.numbers(0) == Counter(range(N))


@pytest.mark.parametrize("data", [lambda: iter(range(6)), lambda: DataLoader(range(6))])
def test_data_without_a_state_is_skipped_with_a_warning(data, tmp_path):
    def loop(callbacks):
        view = ModelView(get_state=dict, set_state=lambda state: None)
        with Run(view, callbacks) as run:
            for _ in run.epochs():
                for _ in run.batches(data()):
                    run.log(loss=1.0)

    with pytest.raises(Killed):
        loop([SaveAndDie(tmp_path / "state", 0, 2)])

    with pytest.warns(OnstageWarning, match="has no state: the first 2 batches of the resumed epoch are"):
        loop([Resume(tmp_path / "state")])


def test_a_generator_is_skipped_with_a_warning(tmp_path):
    def batches():
        for x in torch.randperm(30).float().split(5):
            yield x[:, None].repeat(1, 2), x[:, None]

    with pytest.raises(Killed):
        fit(batches(), [SaveAndDie(tmp_path / "state", 0, 2)])

    with pytest.warns(OnstageWarning) as warned:
        fit(batches(), [Resume(tmp_path / "state")])
    assert any("x, a generator, has no state: the first 2" in str(each.message) for each in warned)


def test_batches_in_a_list_are_skipped_without_a_warning(tmp_path):
    def loop(callbacks):
        view = ModelView(get_state=dict, set_state=lambda state: None)
        seen = []
        with Run(view, callbacks) as run:
            for _ in run.epochs():
                seen.extend(run.batches([1, 2, 3]))
        return seen

    with pytest.raises(Killed):
        loop([SaveAndDie(tmp_path / "state", 0, 2)])

    assert loop([Resume(tmp_path / "state")]) == [3]
