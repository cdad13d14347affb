"""Training loops written by hand for one network each, the baselines of `fit`.

Each does the same arithmetic as `fit`: it shuffles, gathers the batch into a
reused buffer, accumulates loss and accuracy, and updates one flat buffer of
parameters. Everything is allocated once and every result has its ``out``. The
floors only gather and compute the matrix products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

F = np.float32
CLASSES = 10
WAITING = 32
"""Batches whose predictions are counted together."""
Array = np.ndarray
Step = Callable[[Array], None]


class Batch:
    """Reused buffers of a batch, and the labels as flat indices into the logits."""

    def __init__(self, x: Array, y: Array, size: int) -> None:
        self.x_take, self.y_take = x.take, y.take
        self.x = np.empty((size, *x.shape[1:]), x.dtype)
        self.y = np.empty(size, y.dtype)

    def gather(self, rows: Array) -> None:
        self.x_take(rows, 0, self.x, "clip")
        self.y_take(rows, 0, self.y, "clip")


class Head:
    """Softmax and cross-entropy on logits ``(classes, batch)``, in place."""

    def __init__(self, size: int, rate: float) -> None:
        self.z = np.empty((CLASSES, size), F)
        self.p = np.empty((CLASSES, size), F)
        self.total, self.picked, self.values = (np.empty(size, F) for _ in range(3))
        self.index = np.empty(size, np.int64)
        self.places = np.arange(size)
        self.kept_z = np.empty((WAITING, CLASSES, size), F)
        self.kept_y = np.empty((WAITING, size), np.int64)
        self.waiting = 0
        self.z_flat, self.p_flat = self.z.reshape(-1), self.p.reshape(-1)
        self.share = np.array(rate / size, F)
        self.class_ones, self.ones, self.samples = np.ones(CLASSES, F), np.ones(size, F), np.array(size)
        self.loss = self._right = 0.0

    @property
    def right(self) -> float:
        """Correct predictions so far."""
        self.measure()
        return self._right

    def measure(self) -> None:
        """Count the correct predictions of the batches that wait, in one call."""
        hits = self.kept_z[: self.waiting].argmax(1) == self.kept_y[: self.waiting]
        self._right += np.count_nonzero(hits)
        self.waiting = 0

    def delta(self, y: Array) -> Array:
        z, p, total, values, index = self.z, self.p, self.total, self.values, self.index
        self.kept_z[self.waiting], self.kept_y[self.waiting] = z, y
        self.waiting += 1
        if self.waiting == WAITING:
            self.measure()
        np.maximum.reduce(z, 0, out=total)
        np.subtract(z, total, z)
        np.exp(z, p)
        np.dot(self.class_ones, p, total)
        np.divide(p, total, p)
        np.multiply(y, self.samples, index)
        np.add(index, self.places, index)
        self.z_flat.take(index, 0, self.picked, "clip")
        np.log(total, values)
        np.subtract(values, self.picked, values)
        self.loss += float(values.dot(self.ones))
        self.p_flat[index] -= 1
        np.multiply(p, self.share, p)
        return p


def flat(*shapes: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, list[Array]]:
    """Return one buffer, and views of it in the given shapes."""
    sizes = [math.prod(shape) for shape in shapes]
    buffer = np.zeros(sum(sizes), F)
    ends = np.cumsum(sizes)
    views = [
        buffer[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)
    ]
    for view in views:
        if view.ndim > 1:
            view[...] = rng.normal(size=view.shape) / math.sqrt(math.prod(view.shape[:-1]))
    return buffer, views


def sgd(parameters: Array, gradients: Array) -> Callable[[], None]:
    # `Head.share` has already multiplied the delta by the learning rate.
    return lambda: np.subtract(parameters, gradients, parameters)


def rmsprop(w: Array, g: Array, rate: float = 0.001, rho: float = 0.9) -> Callable[[], None]:
    square, scratch = np.zeros_like(w), np.empty_like(w)
    step, keep, take, tiny = (np.array(v, F) for v in (rate, rho, 1 - rho, 1e-7))

    def update() -> None:
        np.multiply(g, g, scratch)
        np.multiply(scratch, take, scratch)
        np.multiply(square, keep, square)
        np.add(square, scratch, square)
        np.add(square, tiny, scratch)
        np.sqrt(scratch, scratch)
        np.divide(g, scratch, scratch)
        np.multiply(scratch, step, scratch)
        np.subtract(w, scratch, w)

    return update


def adam(parameters: Array, gradients: Array, rate: float = 0.001, block: int = 8192) -> Callable[[], None]:
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    scratch = np.empty(block, F)
    b1, b2, c1, c2, tiny = (np.array(v, F) for v in (0.9, 0.999, 0.1, 0.001, 1e-7))
    step = np.array(0, F)
    blocks = []
    for start in range(0, len(parameters), block):
        part = slice(start, start + block)
        w = parameters[part]
        blocks.append((w, gradients[part], first[part], second[part], scratch[: len(w)]))
    count = 0

    def update() -> None:
        nonlocal count
        count += 1
        step[()] = rate * math.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for w, g, m, v, s in blocks:
            np.multiply(m, b1, m)
            np.multiply(g, c1, s)
            np.add(m, s, m)
            np.multiply(g, g, s)
            np.multiply(s, c2, s)
            np.multiply(v, b2, v)
            np.add(v, s, v)
            np.sqrt(v, s)
            np.add(s, tiny, s)
            np.divide(m, s, s)
            np.multiply(s, step, s)
            np.subtract(w, s, w)

    return update


def dense(
    x: Array, y: Array, size: int, widths: list[int], optimizer: Callable[..., Callable[[], None]]
) -> Step:
    """Train dense layers, relu between them; hidden values as ``(batch, units)``."""
    rng = np.random.default_rng(0)
    sizes = [x.shape[1], *widths, CLASSES]
    shapes = [shape for a, b in itertools.pairwise(sizes) for shape in ((a, b), (b,))]
    parameters, w = flat(*shapes, rng=rng)
    gradients, g = flat(*shapes, rng=rng)
    update = optimizer(parameters, gradients)
    batch, head = Batch(x, y, size), Head(size, 0.01 if optimizer is sgd else 1.0)
    ones = np.ones(size, F)
    hidden = [np.empty((size, n), F) for n in widths]
    deltas = [np.empty((size, n), F) for n in widths]
    masks = [np.empty((size, n), bool) for n in widths]
    zero = np.array(0, F)
    last_bias = w[-1][:, None]
    values = [batch.x, *hidden]
    rows_of_logits = np.empty((size, CLASSES), F)

    def step(rows: Array) -> None:
        batch.gather(rows)
        for n, h in enumerate(hidden):
            np.dot(values[n], w[2 * n], h)
            np.add(h, w[2 * n + 1], h)
            np.maximum(h, zero, out=h)
        np.dot(values[-1], w[-2], rows_of_logits)
        np.add(rows_of_logits.T, last_bias, head.z)
        delta = head.delta(batch.y)
        np.dot(values[-1].T, delta.T, g[-2])
        np.dot(delta, ones, g[-1])
        back = delta.T
        for n in range(len(hidden) - 1, -1, -1):
            np.dot(back, w[2 * n + 2].T, deltas[n])
            np.greater(hidden[n], zero, masks[n])
            back = np.multiply(deltas[n], masks[n], deltas[n])
            np.dot(values[n].T, back, g[2 * n])
            np.dot(ones, back, g[2 * n + 1])
        update()

    return step


def dense_floor(x: Array, y: Array, size: int, widths: list[int]) -> Step:
    """Gather the batches and compute the matrix products of training, nothing else."""
    rng = np.random.default_rng(0)
    sizes = [x.shape[1], *widths, CLASSES]
    weights = [rng.normal(size=shape).astype(F) for shape in itertools.pairwise(sizes)]
    gradients = [np.empty_like(w) for w in weights]
    batch = Batch(x, y, size)
    values = [batch.x, *(np.full((size, n), 0.1, F) for n in sizes[1:])]
    deltas = [np.full((size, n), 0.1, F) for n in sizes]

    def step(rows: Array) -> None:
        batch.gather(rows)
        for n, w in enumerate(weights):
            np.dot(values[n], w, values[n + 1])
        for n in range(len(weights) - 1, -1, -1):
            np.dot(values[n].T, deltas[n + 1], gradients[n])
            if n:
                np.dot(deltas[n + 1], weights[n].T, deltas[n])

    return step


def convolution(x: Array, y: Array, size: int, optimizer: Callable[..., Callable[[], None]]) -> Step:
    """Train conv 3x3x16, pool, conv 3x3x32, pool, dense; values as ``(channels, rows, columns, batch)``."""
    rng = np.random.default_rng(0)
    shapes = [(9, 16), (16,), (144, 32), (32,), (800, CLASSES), (CLASSES,)]
    parameters, (k1, b1, k2, b2, w, b) = flat(*shapes, rng=rng)
    gradients, (gk1, gb1, gk2, gb2, gw, gb) = flat(*shapes, rng=rng)
    update = optimizer(parameters, gradients)
    batch, head = Batch(x, y, size), Head(size, 0.01 if optimizer is sgd else 1.0)
    image = np.empty((1, 28, 28, size), F)
    first = Filter(image, k1, b1, gk1, gb1)
    pool1 = Pool(first.out)
    second = Filter(pool1.out, k2, b2, gk2, gb2)
    pool2 = Pool(second.out)
    # The last layer's weights are ordered by (rows, columns, channels).
    features = np.empty((5, 5, 32, size), F)
    feature_rows = features.reshape(800, size)
    back = np.empty((800, size), F)
    ones = np.ones(size, F)
    bias = b[:, None]

    def step(rows: Array) -> None:
        batch.gather(rows)
        np.copyto(image, batch.x.swapaxes(0, 3))
        pool1.forward(first.forward())
        pool2.forward(second.forward())
        np.copyto(features, np.moveaxis(pool2.out, 0, 2))
        np.dot(w.T, feature_rows, head.z)
        np.add(head.z, bias, head.z)
        delta = head.delta(batch.y)
        np.dot(feature_rows, delta.T, gw)
        np.dot(delta, ones, gb)
        np.dot(w, delta, back)
        np.copyto(pool2.delta, np.moveaxis(back.reshape(features.shape), 2, 0))
        second.backward(pool2.backward())
        second.spread(pool1.delta)
        first.backward(pool1.backward())
        update()

    return step


class Filter:
    """A 3 x 3 convolution and relu: nine copies and one matrix product."""

    def __init__(self, image: Array, kernel: Array, bias: Array, gk: Array, gb: Array) -> None:
        channels, rows, columns, size = image.shape
        self.image, self.kernel, self.gk, self.gb = image, kernel, gk, gb
        self.bias = bias[:, None]
        self.patches = np.empty((3, 3, channels, rows - 2, columns - 2, size), F)
        self.out = np.empty((len(bias), rows - 2, columns - 2, size), F)
        self.rows, self.patch_rows = self.out.reshape(len(bias), -1), self.patches.reshape(9 * channels, -1)
        self.ones = np.ones(self.rows.shape[1], F)
        self.zero = np.array(0, F)

    def forward(self) -> Array:
        image, (rows, columns) = self.image, self.out.shape[1:3]
        for i in range(3):
            for j in range(3):
                np.copyto(self.patches[i, j], image[:, i : i + rows, j : j + columns])
        np.dot(self.kernel.T, self.patch_rows, self.rows)
        np.add(self.rows, self.bias, self.rows)
        np.maximum(self.rows, self.zero, out=self.rows)
        return self.out

    def backward(self, delta: Array) -> None:
        self.delta = delta.reshape(self.rows.shape)
        np.dot(self.patch_rows, self.delta.T, self.gk)
        np.dot(self.delta, self.ones, self.gb)

    def spread(self, image_delta: Array) -> None:
        rows, columns = self.out.shape[1:3]
        np.dot(self.kernel, self.delta, self.patch_rows)
        image_delta.fill(0)
        for i in range(3):
            for j in range(3):
                seen = image_delta[:, i : i + rows, j : j + columns]
                np.add(seen, self.patches[i, j], seen)


class Pool:
    """Max pooling 2 x 2 after a relu, and the joint gradient."""

    def __init__(self, x: Array) -> None:
        channels, rows, columns, size = x.shape
        rows, columns = rows // 2, columns // 2
        self.corners = [x[:, i : 2 * rows : 2, j : 2 * columns : 2] for i in (0, 1) for j in (0, 1)]
        self.out, self.delta, self.part = (np.empty((channels, rows, columns, size), F) for _ in range(3))
        self.other = np.empty_like(self.out)
        self.hits = np.empty(self.out.shape, bool)
        self.x_delta = np.zeros_like(x)
        self.delta_corners = [
            self.x_delta[:, i : 2 * rows : 2, j : 2 * columns : 2] for i in (0, 1) for j in (0, 1)
        ]

    def forward(self, x: Array) -> None:
        a, b, c, d = self.corners
        np.maximum(a, b, out=self.out)
        np.maximum(c, d, out=self.other)
        np.maximum(self.out, self.other, out=self.out)

    def backward(self) -> Array:
        # If the maximum is 0, the relu passes no gradient.
        np.greater(self.out, 0, self.hits)
        np.multiply(self.delta, self.hits, self.delta)
        for corner, received in zip(self.corners, self.delta_corners, strict=True):
            np.equal(corner, self.out, self.hits)
            np.multiply(self.delta, self.hits, received)
            np.subtract(self.delta, received, self.delta)
        return self.x_delta


def convolution_floor(x: Array, y: Array, size: int) -> Step:
    """Gather the batches and compute the matrix products of training, nothing else."""
    rng = np.random.default_rng(0)
    batch = Batch(x, y, size)
    small = [
        (rng.random((k, n), dtype=F), rng.random((f, k), dtype=F), rng.random((f, n), dtype=F))
        for k, f, n in ((9, 16, 676 * size), (144, 32, 121 * size), (800, CLASSES, size))
    ]
    outs = [(np.empty_like(k), np.empty_like(p)) for p, k, _ in small]

    def step(rows: Array) -> None:
        batch.gather(rows)
        for n, ((patches, kernel, out), (gradient, spread)) in enumerate(zip(small, outs, strict=True)):
            np.dot(kernel, patches, out)
            np.dot(out, patches.T, gradient)
            if n:
                np.dot(kernel.T, out, spread)

    return step
