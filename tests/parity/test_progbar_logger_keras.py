"""ProgbarLogger prints the same metrics as Keras's, with the same digits."""

import io
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_progbar_logger import ProgbarLogger  # noqa: E402  # after the backend is chosen

EXAMPLES = int(os.environ.get("ONSTAGE_PARITY_EXAMPLES", "300"))

# Deliberate differences: 0 is printed as 0.0000, large negative numbers without an exponent.
positive = st.floats(1e-9, 1e6)
epochs = st.lists(
    st.fixed_dictionaries({"accuracy": positive, "loss": positive}, optional={"val_loss": positive}),
    min_size=1,
    max_size=4,
)


def drive(callback, epochs):
    callback.set_params({"verbose": 2, "epochs": len(epochs), "steps": 2})
    callback.on_train_begin()
    for epoch, logs in enumerate(epochs):
        training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        callback.on_epoch_begin(epoch)
        for batch in range(2):
            callback.on_train_batch_end(batch, dict(training))
        callback.on_epoch_end(epoch, dict(logs))


def metrics_in(text):
    """Return names and figures of each line that has some."""
    return [found for line in text.splitlines() if (found := re.findall(r"(\w+): (\d\S*)", line))]


@settings(max_examples=EXAMPLES, deadline=None)
@given(epochs)
def test_prints_the_same_figures_in_each_line(epochs):
    ours = io.StringIO()
    drive(ProgbarLogger(file=ours), epochs)

    with pytest.MonkeyPatch.context() as patch:
        theirs = io.StringIO()
        patch.setattr("sys.stdout", theirs)
        drive(keras.callbacks.ProgbarLogger(), epochs)

    assert metrics_in(ours.getvalue()) == metrics_in(theirs.getvalue())
    assert len(metrics_in(ours.getvalue())) == len(epochs)
