"""Published callbacks run with their import changed, and do what they do in Keras.

``report.py`` prints the counts.
"""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("keras")

from cases import CASES
from comparison import differences, same_text
from trainings import reference, run


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_published_callback_does_what_it_does_in_keras(case):
    expected = reference(case)
    assert (expected.error is None) is ("keras2" not in case.refused)

    for column in ("numpy", "torch"):
        seen = run(column, case)

        if column in case.refused:
            assert case.refused[column] in str(seen.error)
        else:
            assert seen.error is None, column
        if "keras2" in case.refused or column not in case.refused:
            same_formula = column == "numpy" or not case.torch_formula
            assert differences(expected, seen, same_formula=same_formula) == []


def test_the_page_for_users_of_keras_has_the_counts():
    page = (Path(__file__).parents[2] / "core/docs/keras.md").read_text()
    refused = {
        column: sum(column in case.refused and "keras2" not in case.refused for case in CASES)
        for column in ("numpy", "torch")
    }

    assert len({str(case) for case in CASES}) == len(CASES)
    assert f"Of {len(CASES)} cases all but {refused['numpy']} run on the numpy model" in page
    assert f"all but {refused['torch']} on `TorchModel`" in page


def test_the_comparison_finds_a_difference():
    case = next(case for case in CASES if case.name == "guide's scheduler")
    seen = run("numpy", case)
    later = run("numpy", replace(case, epochs=3))

    assert differences(seen, seen) == []
    assert {each.partition(":")[0] for each in differences(seen, later)} == {
        "rates",
        "batches",
        "epochs",
        "history",
        "weights",
        "printed",
    }
    assert not same_text("loss: 0.1234", "loss: 0.1236")
    assert not same_text("loss: 0.1", "lost: 0.1")
