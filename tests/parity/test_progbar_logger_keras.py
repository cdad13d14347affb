"""ProgbarLogger's lines tell the metrics that Keras's tell, in the same figures."""

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

# On purpose: 0 is 0.0000 here; and a large negative number is not written with an exponent.
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
        if isinstance(callback, ProgbarLogger):
            callback.on_epoch_end(dict(logs))
        else:
            callback.on_epoch_end(epoch, dict(logs))


def metrics_in(text):
    """Of each line that has some: the names and figures."""
    return [found for line in text.splitlines() if (found := re.findall(r"(\w+): (\d\S*)", line))]


@settings(max_examples=EXAMPLES, deadline=None)
@given(epochs)
def test_the_same_figures_in_each_line(epochs):
    ours = io.StringIO()
    drive(ProgbarLogger(file=ours), epochs)

    with pytest.MonkeyPatch.context() as patch:
        theirs = io.StringIO()
        patch.setattr("sys.stdout", theirs)
        drive(keras.callbacks.ProgbarLogger(), epochs)

    assert metrics_in(ours.getvalue()) == metrics_in(theirs.getvalue())
    assert len(metrics_in(ours.getvalue())) == len(epochs)
