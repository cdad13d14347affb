"""Use callbacks in a JAX loop: four functions read and set weights and rate.

Trains on scikit-learn's bundled digits and prints the accuracy on a held-out
fifth: 0.95 or more.

    pip install onstage jax scikit-learn && python own_loop_jax.py
"""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from onstage import ModelView, Run
from onstage.callbacks import EarlyStopping, ReduceLROnPlateau

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order].astype("float32") / 16, labels[order]
x_test, y_test, x_val, y_val = images[:360], labels[:360], images[360:500], labels[360:500]
x, y = images[500:], labels[500:]


def predict(weights, x):
    (w1, b1), (w2, b2) = weights
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


def loss_of(weights, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(predict(weights, x)), y[:, None], 1).mean()


@jax.jit
def step(weights, x, y, rate):
    loss, slopes = jax.value_and_grad(loss_of)(weights, x, y)
    return jax.tree.map(lambda w, slope: w - rate * slope, weights, slopes), loss


first, second = jax.random.split(jax.random.key(0))
weights = [
    (jax.random.normal(first, (64, 64)) / 8, jnp.zeros(64)),
    (jax.random.normal(second, (64, 10)) / 8, jnp.zeros(10)),
]
rate = 0.5


def set_weights(arrays):
    global weights
    weights = jax.tree.unflatten(jax.tree.structure(weights), [jnp.asarray(each) for each in arrays])


def set_rate(value):
    global rate
    rate = value


view = ModelView(
    get_weights=lambda: jax.tree.leaves(weights),
    set_weights=set_weights,
    get_learning_rate=lambda: rate,
    set_learning_rate=set_rate,
)
rng = np.random.default_rng(1)
callbacks = [EarlyStopping(patience=5, restore_best_weights=True), ReduceLROnPlateau(patience=2)]
with Run(model=view, callbacks=callbacks, epochs=60, verbose=2) as run:
    for _ in run.epochs():
        order = rng.permutation(len(x))
        for rows in run.batches(np.array_split(order, len(x) // 32)):
            weights, loss = step(weights, x[rows], y[rows], rate)
            run.log(loss=loss)  # stays on the device until a callback reads it
        for inputs, targets in run.test_batches([(x_val, y_val)]):
            hits = predict(weights, inputs).argmax(1) == targets
            run.log(loss=loss_of(weights, inputs, targets), accuracy=hits.mean())

accuracy = float((predict(weights, x_test).argmax(1) == y_test).mean())
print(f"{len(run.history.epoch)} epochs; {run.history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(x_test)} images")
