"""Use callbacks in a loop of Flax NNX: four functions read and set weights and rate.

Trains on scikit-learn's bundled digits and prints the accuracy on a held-out
fifth: 0.95 or more.

    pip install onstage flax optax scikit-learn && python own_loop_flax.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

from onstage import ModelView, Run
from onstage.callbacks import EarlyStopping, ReduceLROnPlateau

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order].astype("float32") / 16, labels[order]
x_test, y_test, x_val, y_val = images[:360], labels[:360], images[360:500], labels[360:500]
x, y = images[500:], labels[500:]


class Digits(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.outputs = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        return self.outputs(self.dropout(nnx.relu(self.hidden(x))))


def loss_of(model, x, y):
    logits = model(x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), logits


@nnx.jit
def step(model, optimizer, x, y):
    (loss, _), gradients = nnx.value_and_grad(loss_of, has_aux=True)(model, x, y)
    optimizer.update(model, gradients)
    return loss


@nnx.jit
def evaluate(model, x, y):
    loss, logits = loss_of(model, x, y)
    return loss, (logits.argmax(1) == y).mean()


model = Digits(nnx.Rngs(0))
# inject_hyperparams keeps the rate in the optimizer's state, where it may be set.
optimizer = nnx.Optimizer(model, optax.inject_hyperparams(optax.adam)(learning_rate=3e-3), wrt=nnx.Param)


def set_weights(arrays):
    own = nnx.state(model, nnx.Param)
    leaves = [jnp.asarray(each) for each in arrays]
    nnx.update(model, jax.tree.unflatten(jax.tree.structure(own), leaves))


def set_rate(rate):
    hyperparams = optimizer.opt_state.hyperparams
    hyperparams["learning_rate"][...] = jnp.asarray(rate, hyperparams["learning_rate"].dtype)


view = ModelView(
    get_weights=lambda: jax.tree.leaves(nnx.state(model, nnx.Param)),
    set_weights=set_weights,
    get_learning_rate=lambda: float(optimizer.opt_state.hyperparams["learning_rate"][...]),
    set_learning_rate=set_rate,
)
rng = np.random.default_rng(1)
callbacks = [EarlyStopping(patience=6, restore_best_weights=True), ReduceLROnPlateau(patience=2)]
with Run(model=view, callbacks=callbacks, epochs=60, verbose=2) as run:
    for _ in run.epochs():
        model.train()  # with dropout
        order = rng.permutation(len(x))
        for rows in run.batches(np.array_split(order, len(x) // 32)):
            run.log(loss=step(model, optimizer, x[rows], y[rows]))  # stays on the device until it is read
        model.eval()
        for inputs, targets in run.test_batches([(x_val, y_val)]):
            loss, accuracy = evaluate(model, inputs, targets)
            run.log(loss=loss, accuracy=accuracy)

_, accuracy = evaluate(model, x_test, y_test)
print(f"{len(run.history.epoch)} epochs; {run.history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(x_test)} images")
