"""TorchModel compared with plain torch loops: random trainings, and one for each known trap."""

import random
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")
sys.path.insert(0, str(Path(__file__).parent))

from beside_torch import build, differences, train_by_hand  # noqa: E402
from torch_draw import draw  # noqa: E402
from torch_losses import MAKERS  # noqa: E402
from torch_parts import batches_of  # noqa: E402
from torch_programs import Change, Fit, Program  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:x ran out of data"),  # an epoch ends early if the data do
    pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step"),  # all steps were skipped
    pytest.mark.filterwarnings("ignore:No (positive|negative) samples in targets"),  # of torchmetrics
    pytest.mark.filterwarnings("ignore:.*divides the total loss by both"),  # of KLDivLoss
]
TWO = (Fit(2, seed=5), Fit(2, seed=6))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("seed", range(80))
def test_a_random_training_equals_a_plain_loop(seed):
    program = draw(seed)

    assert differences(program) == [], str(program)


@pytest.mark.parametrize("name", MAKERS)
def test_values_over_the_divisor_are_the_loss_itself(name):
    for seed in range(8):
        case = MAKERS[name](random.Random(seed))
        parts = build(Program(seed, loss=name))
        (x, y), *_ = batches_of(*parts.data)
        outputs = parts.module(x)

        loss = case.call(outputs, y).mean()

        value = case.numerator(outputs, y, None) / case.divisor(outputs, y)
        torch.testing.assert_close(value, loss, rtol=1e-12, atol=0)


# -- trained parameters

TRAINED = {
    "unfrozen between fits": Program(1, frozen=True, fits=TWO, changes=(Change("unfreeze", 1),)),
    "unfrozen in mid-fit": Program(2, frozen=True, changes=(Change("unfreeze", 0, 1, 1),)),
    "unfrozen with Adam": Program(
        3, frozen=True, optimizer="adam", fits=TWO, changes=(Change("unfreeze", 1),)
    ),
    "unfrozen and clipped": Program(4, frozen=True, clip=0.05, fits=TWO, changes=(Change("unfreeze", 1),)),
    "unfrozen and averaged": Program(5, frozen=True, ema=0.9, fits=TWO, changes=(Change("unfreeze", 1),)),
    "unfrozen while batches wait": Program(
        6, frozen=True, accumulate=2, changes=(Change("unfreeze", 0, 1, 1),)
    ),
    "frozen in mid-fit": Program(7, changes=(Change("freeze", 0, 1, 1),)),
    "a group added between fits": Program(8, groups="body late", fits=TWO, changes=(Change("add", 1),)),
    "a group added in mid-fit": Program(9, groups="body late", changes=(Change("add", 0, 1, 1),)),
    "a group that was never frozen": Program(
        10, groups="body never frozen", clip=0.05, fits=TWO, changes=(Change("add", 1),)
    ),
    "a group added and averaged": Program(
        11, groups="body late", ema=0.5, fits=TWO, changes=(Change("add", 1),)
    ),
    "a temperature in the loss": Program(12, loss="temperature", fits=TWO),
    "centres in the loss": Program(13, loss="centres", optimizer="adam", clip=0.5, fits=TWO),
    "a loss that is trained, accumulated": Program(14, loss="temperature", accumulate=2),
    "a loss that is trained, resumed": Program(
        15, loss="temperature", optimizer="adam", resumed=True, fits=TWO
    ),
    "a loss that is trained, weighted": Program(16, loss="centres", weights="random"),
    "resumed in an average": Program(17, ema=0.9, optimizer="adam", resumed=True, fits=TWO),
}


@pytest.mark.parametrize("what", TRAINED)
def test_each_step_trains_the_parameters_that_the_optimizer_holds(what):
    assert differences(TRAINED[what]) == []


# -- weights and reductions

REDUCED = ("mse sum", "kl batchmean", "class weights", "ignored", "pos_weight partial", "ignored partial")


@pytest.mark.parametrize("loss", REDUCED)
def test_sample_weights_of_one_change_nothing(loss):
    weighted, plain = (Program(20, loss=loss, form="batches", weights=each) for each in ("ones", "none"))

    assert differences(weighted) == []
    trained = [train_by_hand(each) for each in (weighted, plain)]
    for name in trained[0]:
        torch.testing.assert_close(trained[0][name], trained[1][name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", REDUCED)
def test_sample_weights_multiply_values_and_not_the_divisor(loss):
    assert differences(Program(21, loss=loss, weights="random", validation="weighted")) == []


@pytest.mark.parametrize("form", ["arrays", "tensors", "dataset", "batches", "shuffled"])
def test_a_column_of_sample_weights_equals_a_vector(form):
    assert differences(Program(25, form=form, weights="column", weighted_metrics=("weighted spread",))) == []


def test_class_weights_are_the_sample_weights_of_their_classes():
    assert differences(Program(22, loss="class weights", weights="class")) == []


@pytest.mark.parametrize("loss", [*REDUCED, "focal", "own mean"])
def test_accumulated_batches_make_the_step_of_the_joined_batch_for_each_loss(loss):
    assert differences(Program(23, loss=loss, form="batches", accumulate=3, clip=0.5)) == []


@pytest.mark.parametrize("loss", REDUCED)
def test_accumulated_weighted_batches_make_the_step_of_the_joined_batch(loss):
    assert differences(Program(24, loss=loss, form="batches", accumulate=3, weights="random")) == []


def test_a_step_with_ignored_targets_only_does_not_change_the_weights():
    # The last step of an epoch has two samples, and torch gives ignored ones no gradient.
    assert differences(Program(1951, loss="ignored", n=18, accumulate=2, ignored_end=True)) == []


# -- metrics

CLASSIFIED = ("accuracy", "f1", "auroc", "counted accuracy")


@pytest.mark.parametrize("loss", ["ignored", "ignored partial", "class weights"])
@pytest.mark.parametrize("module", ["mlp", "tokens"])
def test_accuracy_leaves_out_targets_that_the_loss_ignores(loss, module):
    program = Program(
        30,
        module,
        loss,
        validation="arrays",
        metrics=("accuracy",),
        weighted_metrics=("sparse_categorical_accuracy",),
        weights="random",
    )

    assert differences(program) == []


@pytest.mark.parametrize("module", ["mlp", "tokens"])
def test_metrics_of_torchmetrics_cover_the_whole_epoch(module):
    assert (
        differences(Program(31, module, "ignored", validation="loader", metrics=CLASSIFIED, fits=TWO)) == []
    )


@pytest.mark.parametrize("loss", ["pos_weight partial", "multi_label_soft_margin", "bce_logits"])
def test_binary_accuracy_accepts_logits(loss):
    assert differences(Program(32, loss=loss, metrics=("binary_accuracy",))) == []


@pytest.mark.parametrize("amp", ["bfloat16", "float16"])
def test_a_function_of_low_precision_is_averaged_in_float64(amp):
    assert differences(Program(33, amp=amp, metrics=("spread",), weighted_metrics=("weighted spread",))) == []


# -- float16, and random numbers


@pytest.mark.parametrize("of", [{"ema": 0.9}, {"scheduler": "exponential", "schedule_on": "batch"}])
def test_a_step_that_the_scaler_skips_changes_nothing(of):
    program = Program(40, amp="float16", overflow=True, fits=TWO, **of)
    skipped = 65536.0 / train_by_hand(program)["scale"]

    assert skipped >= 2
    assert differences(program) == []


@pytest.mark.parametrize("form", ["arrays", "tensors", "dataset", "batches", "loader", "shuffled", "global"])
@pytest.mark.parametrize("seed", [None, 5])
def test_dropout_draws_the_same_numbers_as_in_a_loop(form, seed):
    program = Program(
        41, "dropout", form=form, validation="loader", fits=(Fit(2, seed=seed), Fit(1, seed=seed))
    )

    assert differences(program) == []
