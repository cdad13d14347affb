"""Processes whose iterables yield different numbers of batches."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.distributed", reason="torch was built without distributed")

from onstage_torch import TorchModel  # noqa: E402


@pytest.fixture(scope="module")
def results(tmp_path_factory, torchrun):
    folder = tmp_path_factory.mktemp("uneven")
    torchrun("uneven.py", folder)
    return [json.loads((folder / f"uneven-{rank}.json").read_text()) for rank in (0, 1)]


def test_an_epoch_ends_in_all_with_the_process_whose_stream_ends_first(results):
    for each in results:
        assert each["stream"]["batches"] == [[epoch, batch] for epoch in (0, 1) for batch in range(3)]
        np.testing.assert_allclose(each["stream"]["weights"], each["by hand"], rtol=1e-6, atol=1e-7)


def test_lists_and_generators_end_together_too(results):
    for each in results:
        assert each["list"] == [[epoch, batch] for epoch in (0, 1) for batch in range(3)]
        assert each["generator"] == [[0, batch] for batch in range(3)]


def test_passes_that_go_on_from_epoch_to_epoch_end_together(results):
    # Passes of 3 batches in epochs of 2: the second epoch ends after the first pass.
    assert results[0]["steps"] == results[1]["steps"]
    assert results[0]["steps"] == [[0, 0], [0, 1], [1, 0], [2, 0], [2, 1]]


def test_without_the_option_they_are_refused_before_the_first_step(results):
    for each in results:
        assert "must yield as many batches in each of the 2 processes" in each["refused"]
        assert "must have a length, or steps_per_epoch be given" in each["refused without a length"]
        assert "uneven='shortest'" in each["refused"]


def test_another_word_for_it_is_refused():
    with pytest.raises(ValueError, match=r"uneven must be .*'error'.*'shortest'.*, got 'join'"):
        TorchModel(torch.nn.Linear(1, 1), uneven="join")
