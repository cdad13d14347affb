"""CSVLogger writes the same files as Keras's, if the first epoch has all columns."""

import os
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_csv_logger import CSVLogger  # noqa: E402  # after the backend is chosen

EXAMPLES = int(os.environ.get("ONSTAGE_PARITY_EXAMPLES", "300")) // 3

NAMES = ["loss", "accuracy", "a,b", "val_loss", "val_accuracy"]
names = st.lists(st.sampled_from(NAMES[:3]), unique=True).map(lambda some: [*some, "val_loss"])
rows = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.floats() | st.integers() | st.just("word")), max_size=6
)


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def new_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    numbers = count()
    return lambda: folder / f"{next(numbers)}.csv"


def write_log(callback, path, trainings):
    callback.set_model(type("Model", (), {"stop_training": False})())
    for logs in trainings:
        callback.on_train_begin()
        for epoch, values in enumerate(logs):
            callback.on_epoch_end(epoch, dict(values))
        callback.on_train_end()
    with open(path, newline="") as file:
        return file.read().replace("\r\n", "\n")  # Deliberate difference: lines end with a line feed.


@settings(max_examples=EXAMPLES, deadline=None)
@given(names, rows, st.sampled_from([",", ";", "\t"]), st.booleans())
def test_writes_the_same_cells_in_the_same_columns(new_path, columns, rows, separator, append):
    # Deliberate difference: Keras drops columns missing in the first epoch, and invents
    # val_ columns if there are none; here the first epoch has all, also val_ ones.
    logs = [dict.fromkeys(columns, 0.5)]
    logs += [{name: value for name, value in row.items() if name in columns} for row in rows]
    our_path, their_path = new_path(), new_path()

    ours = write_log(CSVLogger(our_path, separator, append), our_path, [logs, logs])
    theirs = write_log(
        keras.callbacks.CSVLogger(str(their_path), separator, append), their_path, [logs, logs]
    )

    assert ours == theirs
