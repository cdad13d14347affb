"""ModelView presents plain functions as a model."""

import numpy as np
import pytest

from onstage import Callback, ModelView, Run, StateError
from onstage.callbacks import (
    BackupAndRestore,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TensorBoard,
)


class Foreign:
    """An array of another library, with ``__array__`` alone."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_a_view_has_only_the_attributes_whose_functions_were_given():
    view = ModelView(get_weights=list, get_learning_rate=lambda: 0.1)

    present = [name for name in ("get_weights", "save_weights", "learning_rate") if hasattr(view, name)]
    absent = [
        name
        for name in ("set_weights", "load_weights", "state_dict", "load_state_dict", "save", "load")
        if not hasattr(view, name)
    ]
    assert len(present) == 3
    assert len(absent) == 6
    assert not hasattr(ModelView(), "learning_rate")


def test_get_weights_returns_copies_of_any_librarys_arrays():
    own = [Foreign([1.0, 2.0]), np.ones(2)]
    view = ModelView(get_weights=lambda: own)

    weights = view.get_weights()
    weights[1][:] = 7

    assert weights[0].tolist() == [1.0, 2.0]
    assert own[1].tolist() == [1.0, 1.0]


def test_files_restore_weights_and_state(line, tmp_path):
    line.weights = [np.array([1.0, 2.0]), np.array([3.0])]
    view = line.view()
    view.save_weights(tmp_path / "weights")
    view.save(tmp_path / "state")

    line.set_weights([np.zeros(2), np.zeros(1)])
    view.load_weights(tmp_path / "weights")
    from_weights = view.get_weights()
    line.set_state({"weights": [np.zeros(2), np.zeros(1)], "velocity": [np.ones(2), np.ones(1)], "rate": 5})
    view.load(tmp_path / "state")

    assert [each.tolist() for each in from_weights] == [[1.0, 2.0], [3.0]]
    assert [each.tolist() for each in view.get_weights()] == [[1.0, 2.0], [3.0]]
    assert line.rate == 0.1
    with pytest.raises(StateError, match="holds no weights; files of save_weights do"):
        ModelView(set_weights=print).load_weights(_other_file(tmp_path))
    with pytest.raises(FileExistsError, match="pass overwrite=True to replace it"):
        view.save(tmp_path / "state", overwrite=False)


def _other_file(folder):
    ModelView(get_state=lambda: {"rate": 1}).save(folder / "other")
    return folder / "other"


@pytest.mark.parametrize("method", ["save_weights", "snapshot_writer"])
def test_the_suffix_of_another_format_is_refused(tmp_path, method):
    with pytest.raises(ValueError, match=r"filepath must not end with '\.ckpt'.* use '\.safetensors'"):
        getattr(ModelView(get_weights=list), method)(tmp_path / "weights.ckpt")
    assert not list(tmp_path.iterdir())


def test_arrays_anywhere_in_a_state_become_numpy_arrays():
    view = ModelView(get_state=lambda: {"layers": ({"w": Foreign([1.0])},), "step": 3})

    state = view.state_dict()

    assert isinstance(state["layers"][0]["w"], np.ndarray)
    assert state["step"] == 3


def test_a_rate_without_a_setter_counts_as_a_schedule():
    view = ModelView(get_learning_rate=lambda: 0.5)

    assert view.learning_rate == 0.5
    with pytest.raises(TypeError, match="cannot be set to 1: it follows a schedule, or ModelView"):
        view.learning_rate = 1
    with (
        pytest.raises(TypeError, match=r"ReduceLROnPlateau sets the learning rate, which .* from a schedule"),
        Run(view, [ReduceLROnPlateau("loss")]) as run,
    ):
        list(run.epochs())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"get_weights": [1]}, TypeError, r"get_weights must be a function, got \[1\]"),
        ({"set_learning_rate": print}, ValueError, "get_learning_rate must be given beside"),
    ],
)
def test_invalid_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ModelView(**arguments)


# -- refused at the start

NEEDY = {
    "set_weights": lambda folder: EarlyStopping("loss", restore_best_weights=True),
    "learning_rate": lambda folder: ReduceLROnPlateau("loss"),
    "learning_rate ": lambda folder: LearningRateScheduler(lambda epoch: 0.1),
    "state_dict": lambda folder: BackupAndRestore(folder / "backup"),
    "save": lambda folder: ModelCheckpoint(folder / "model"),
    "save_weights": lambda folder: ModelCheckpoint(folder / "model", save_weights_only=True),
    "get_weights": lambda folder: TensorBoard(folder / "board", histogram_freq=1),
    "finalize_weights": lambda folder: SwapEMAWeights(),
}
ACCESSORS = {
    "set_weights": "set_weights=",
    "learning_rate": "get_learning_rate=…, set_learning_rate=",
    "state_dict": "get_state=",
    "save": "get_state=",
    "save_weights": "get_weights=",
    "get_weights": "get_weights=",
}
WITHOUT = {
    "set_weights": ModelView(get_weights=list),
    "finalize_weights": ModelView(get_weights=list, set_weights=print),
}


@pytest.mark.parametrize("need", NEEDY)
def test_a_callback_with_unmet_needs_is_refused_at_the_start_and_told_the_argument(need, tmp_path):
    callback, need = NEEDY[need](tmp_path), need.strip()
    began = []

    class Watches:
        def on_train_begin(self):
            began.append(True)

    with (
        pytest.raises(TypeError) as refused,
        Run(WITHOUT.get(need, ModelView()), [Watches(), callback]) as run,
    ):
        list(run.epochs())

    message = str(refused.value)
    assert message.startswith(
        f"{type(callback).__name__} needs a model with {need}, got ModelView without it"
    )
    assert ACCESSORS.get(need, "") in message
    assert not began
    assert not list(tmp_path.iterdir())


def test_the_refusal_of_a_run_without_a_model_names_model_view():
    with (
        pytest.raises(TypeError, match=r"got a run without a model; .* pass model=onstage.ModelView"),
        Run(callbacks=[EarlyStopping("loss", restore_best_weights=True)]),
    ):
        pass


def test_a_user_callback_may_state_needs():
    class Prunes(Callback):
        needs = ("masks",)

    class Model:
        masks = ()

    with (
        pytest.raises(TypeError, match=r"Prunes needs a model with masks, got a run without a model$"),
        Run(callbacks=[Prunes()]),
    ):
        pass
    with Run(Model(), [Prunes()]) as run:
        assert list(run.epochs()) == [0]
