"""Lazy logs behave like the dict of their values; running means weigh by samples."""

import copy
import json
import operator
import pickle

import numpy as np
import pytest

from onstage.logs import LazyLogs
from onstage.run._running_means import RunningMeans, sample_count

VALUES = {"loss": 1.0, "accuracy": 2.0}
LOOKS = {
    "item": lambda logs: logs["loss"] == 1.0,
    "get": lambda logs: logs.get("accuracy") == 2.0 and logs.get("f1") is None,
    "in": lambda logs: "accuracy" in logs and "f1" not in logs,
    "len": lambda logs: len(logs) == 2,
    "truth": bool,
    "order": lambda logs: list(logs) == list(VALUES),
    "reversed": lambda logs: list(reversed(logs)) == ["accuracy", "loss"],
    "keys": lambda logs: logs.keys() == VALUES.keys(),
    "values": lambda logs: list(logs.values()) == [1.0, 2.0],
    "items": lambda logs: list(logs.items()) == list(VALUES.items()),
    "equal": lambda logs: operator.eq(logs, VALUES) and operator.eq(VALUES, logs),
    "unequal": lambda logs: not operator.ne(logs, VALUES),
    "dict": lambda logs: dict(logs) == VALUES,
    "unpacked": lambda logs: {**logs} == VALUES,
    "updated from": lambda logs: {"f1": 1} | logs == {"f1": 1, **VALUES},
    "joined": lambda logs: logs | {"f1": 1} == {**VALUES, "f1": 1},
    "json": lambda logs: json.loads(json.dumps(logs)) == VALUES,
    "json, indented": lambda logs: json.loads(json.dumps(logs, indent=1)) == VALUES,
    "format": lambda logs: "{loss:.1f}".format(**logs) == "1.0",
    "format_map": lambda logs: "{loss:.1f}".format_map(logs) == "1.0",
    "repr": lambda logs: repr(logs) == repr(VALUES),
    "copy": lambda logs: copy.copy(logs) == VALUES and logs.copy() == VALUES,
    "deepcopy": lambda logs: copy.deepcopy(logs) == VALUES,
    "pickle": lambda logs: pickle.loads(pickle.dumps(logs)) == VALUES,
    "pop": lambda logs: logs.pop("loss") == 1.0 and len(logs) == 1,
    "setdefault": lambda logs: logs.setdefault("loss", 9.0) == 1.0,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_lazy_logs_behave_like_the_dict_of_their_values(look):
    reads = []
    logs = LazyLogs(lambda: reads.append(1) or VALUES)
    assert reads == []

    assert look(logs)
    assert look(LazyLogs(lambda: VALUES))
    assert reads == [1]


def test_two_lazy_logs_of_the_same_values_are_equal():
    assert LazyLogs(lambda: VALUES) == LazyLogs(lambda: VALUES)
    assert LazyLogs(lambda: VALUES) != LazyLogs(dict)
    assert LazyLogs(lambda: VALUES) | LazyLogs(lambda: {"f1": 1}) == {**VALUES, "f1": 1}


def test_a_value_added_before_the_first_read_is_kept():
    logs = LazyLogs(lambda: VALUES)

    logs["f1"] = 0.5

    assert logs == {**VALUES, "f1": 0.5}


def test_means_weigh_by_samples():
    means = RunningMeans()
    means.add({"loss": 1.0}, samples=3)
    means.add({"loss": np.float32(5.0)}, samples=1)

    assert means.logs() == {"loss": 2.0}
    assert means.batch_logs() == {"loss": 5.0}


def test_means_taken_earlier_do_not_change():
    means = RunningMeans()
    total = np.array(1.0)
    means.add({"loss": total}, samples=1)
    early = means.logs()
    means.add({"loss": 3.0}, samples=1)

    assert early == {"loss": 1.0}
    assert means.logs() == {"loss": 2.0}


def test_means_of_numbers_are_floats_at_once_and_those_of_a_library_when_they_are_read():
    means = RunningMeans()
    means.add({"loss": 1.0, "hits": 3}, samples=np.int64(2))

    assert type(means.logs()) is dict
    assert [type(value) for value in means.logs().values()] == [float, float]

    means.add({"loss": np.float32(3.0), "hits": 1}, samples=2)

    assert type(means.logs()) is LazyLogs
    assert means.logs() == {"loss": 2.0, "hits": 2.0}
    assert [type(value) for value in means.logs().values()] == [float, float]


@pytest.mark.parametrize("number", [float, np.float32])
def test_the_mean_of_no_samples_is_zero_as_in_keras(number):
    means = RunningMeans()
    means.add({"loss": number(2.0)}, samples=0)
    early = means.logs()
    means.add({"loss": number(3.0)}, samples=2)

    assert early == {"loss": 0.0}
    assert means.logs() == {"loss": 3.0}


def test_values_without_a_mean_are_passed_on():
    means = RunningMeans()
    means.add({"loss": 1.0, "phase": "warm-up", "image": np.eye(2)}, samples=2)
    means.add({"loss": 2.0, "phase": "full"}, samples=2)

    logs = means.logs()

    assert logs["loss"] == 1.5
    assert logs["phase"] == "full"


def test_restored_means_continue_to_the_same_bits():
    means, whole = RunningMeans(), RunningMeans()
    values = np.random.default_rng(0).normal(size=20)
    for value in values:
        whole.add({"loss": value}, samples=3)
    for value in values[:7]:
        means.add({"loss": value}, samples=3)

    restored = RunningMeans()
    restored.load_state_dict(means.state_dict())
    for value in values[7:]:
        restored.add({"loss": value}, samples=3)

    assert restored.logs()["loss"] == whole.logs()["loss"]


@pytest.mark.parametrize(
    ("data", "samples"),
    [
        (np.zeros((5, 2)), 5),
        ((np.zeros((5, 2)), np.zeros(5)), 5),
        ([np.zeros((4, 2)), None], 4),
        ({"ids": np.zeros((3, 7)), "mask": None}, 3),
        (({"ids": np.zeros((3, 7))}, np.zeros(3)), 3),
        ([1.0, 2.0], 2),
        (np.float32(1.0), 1),
        (7, 1),
        ("text", 1),
        (None, 1),
    ],
)
def test_samples_of_a_batch_are_counted_in_its_first_array(data, samples):
    assert sample_count(data) == samples
