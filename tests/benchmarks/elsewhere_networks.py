"""Networks of `elsewhere.py` in onstage and, if it is installed, in torch: a few steps each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import handwritten
import numpy as np

from onstage import Sequential, layers

STEPS = 10


class Network(NamedTuple):
    """The layers of a network, those of torch, and its data."""

    stack: Callable[[], list[Any]]
    peer: Callable[[Any], Any]
    x: Callable[[np.random.Generator, int], np.ndarray]
    y: Callable[[np.random.Generator, int], np.ndarray]
    size: int
    optimizer: str = "adam"


def floats(*shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, n: rng.random((n, *shape), dtype=np.float32)


def numbers(below: int, *shape: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, n: rng.integers(below, size=(n, *shape))


def padded(rng: np.random.Generator, n: int) -> np.ndarray:
    words = rng.integers(20_000, size=(n, 100))
    words[:, 50:] = 0
    return words


def _mean(nn: Any) -> Any:
    class Mean(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x.mean(1)

    return Mean()


def _text_convolution(nn: Any) -> Any:
    class Text(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words, self.filters, self.out = (
                nn.Embedding(20_000, 64),
                nn.Conv1d(64, 64, 5),
                nn.Linear(64, 2),
            )

        def forward(self, x: Any) -> Any:
            return self.out(self.filters(self.words(x).transpose(1, 2)).relu().amax(2))

    return Text()


def _images(nn: Any) -> Any:
    class Images(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.out = nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3), nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            x = self.two(self.one(x.permute(0, 3, 1, 2)).relu()).relu()
            return self.out(x.mean((2, 3)))

    return Images()


def _series(nn: Any) -> Any:
    class Series(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.filters, self.out = nn.Conv1d(8, 64, 5), nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            return self.out(self.filters(x.transpose(1, 2)).relu().mean(2))

    return Series()


L = layers
NETWORKS: dict[str, Network] = {
    "words": Network(
        lambda: [L.Embedding(20_000, 64), L.GlobalAveragePooling1D(), L.Dense(2, "softmax")],
        lambda nn: nn.Sequential(nn.Embedding(20_000, 64), _mean(nn), nn.Linear(64, 2)),
        numbers(20_000, 100),
        numbers(2),
        64,
    ),
    "padded text": Network(
        lambda: [
            *(L.Embedding(20_000, 64), L.Conv1D(64, 5, activation="relu")),
            *(L.GlobalMaxPooling1D(), L.Dense(2, "softmax")),
        ],
        _text_convolution,
        padded,
        numbers(2),
        64,
    ),
    "two convolutions": Network(
        lambda: [
            *(L.Conv2D(64, 3, activation="relu"), L.Conv2D(64, 3, activation="relu")),
            *(L.GlobalAveragePooling2D(), L.Dense(10, "softmax")),
        ],
        _images,
        floats(32, 32, 3),
        numbers(10),
        128,
        "sgd",
    ),
    "series": Network(
        lambda: [
            *(L.Conv1D(64, 5, activation="relu"), L.GlobalAveragePooling1D()),
            L.Dense(10, "softmax"),
        ],
        _series,
        floats(200, 8),
        numbers(10),
        64,
    ),
    "large batch": Network(
        lambda: [L.Dense(256, "relu"), L.Dense(10, "softmax")],
        lambda nn: nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)),
        floats(784),
        numbers(10),
        4096,
    ),
    "many outputs": Network(
        lambda: [L.Dense(10_000, "softmax")],
        lambda nn: nn.Linear(64, 10_000),
        floats(64),
        numbers(10_000),
        256,
        "sgd",
    ),
    "labels of tokens": Network(
        lambda: [L.Embedding(5000, 64), L.Dense(64, "relu"), L.Dense(100, "softmax")],
        lambda nn: nn.Sequential(nn.Embedding(5000, 64), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 100)),
        numbers(5000, 50),
        numbers(100, 50),
        64,
    ),
    "regularized": Network(
        lambda: [L.Dense(256, "relu"), L.BatchNormalization(), L.Dropout(0.5), L.Dense(10, "softmax")],
        lambda nn: nn.Sequential(
            *(nn.Linear(784, 256), nn.ReLU(), nn.BatchNorm1d(256), nn.Dropout(0.5), nn.Linear(256, 10))
        ),
        floats(784),
        numbers(10),
        128,
    ),
}


def contestants(name: str) -> dict[str, Callable[[], None]]:
    """Return a function for each contestant that makes `STEPS` steps (two of the convolutions)."""
    if name.startswith("small"):
        return _small(int(name.split()[1]))
    network = NETWORKS[name]
    steps = 2 if name == "two convolutions" else STEPS
    rng = np.random.default_rng(0)
    x, y = network.x(rng, network.size * steps), network.y(rng, network.size * steps)
    model = Sequential(network.stack(), seed=0)
    model.compile(network.optimizer, "sparse_categorical_crossentropy")
    own = {"onstage": lambda: model.fit(x, y, batch_size=network.size, shuffle=False, verbose=0)}
    try:
        import torch
    except ImportError:
        return own  # type: ignore[return-value]
    module = network.peer(torch.nn)
    kinds = {"sgd": (torch.optim.SGD, {"lr": 0.01}), "adam": (torch.optim.Adam, {"fused": True})}
    kind, options = kinds[network.optimizer]
    optimizer = kind(module.parameters(), **options)
    parts = (torch.from_numpy(each).split(network.size) for each in (x, y))
    batches = list(zip(*parts, strict=True))

    def train() -> None:
        for inputs, targets in batches:
            outputs = module(inputs)
            classes = outputs.shape[-1]
            loss = torch.nn.functional.cross_entropy(outputs.reshape(-1, classes), targets.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return own | {"torch": train}  # type: ignore[return-value, dict-item]


def _small(size: int) -> dict[str, Callable[[], None]]:
    """Return five epochs of 100 steps: what a fit does once has a row of its own."""
    rng = np.random.default_rng(0)
    x, y = rng.random((100 * size, 784), dtype=np.float32), rng.integers(10, size=100 * size)
    model = Sequential([L.Dense(32, "relu"), L.Dense(10, "softmax")], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    step = handwritten.dense(x, y, size, [32], handwritten.sgd)

    def by_hand() -> None:
        for _ in range(5):
            for rows in rng.permutation(len(x)).reshape(-1, size):
                step(rows)

    return {"onstage": lambda: model.fit(x, y, batch_size=size, epochs=5, verbose=0), "by hand": by_hand}  # type: ignore[dict-item, return-value]
