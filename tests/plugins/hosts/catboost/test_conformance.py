"""The adapter for CatBoost passes every check of the kit."""

import pytest

from onstage.testing import HOST_CHECKS


@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
def test_the_adapter_passes(check, trainings):
    check(trainings.make_training)
