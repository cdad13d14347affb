"""The adapter for Lightning passes every check of the kit, in both packages of Lightning."""

from functools import partial

import pytest

from onstage.testing import HOST_CHECKS


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
def test_the_adapter_passes(check, package, trainings):
    pytest.importorskip(package)

    check(partial(trainings.make_training, package=package))
