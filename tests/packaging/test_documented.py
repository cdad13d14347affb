"""Every stage, setting and variable is documented under its exact name."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from onstage import hookspecs
from onstage.hookspecs import ALIASES, STAGES, Stages
from onstage.registry import _config

ROOT = Path(__file__).parents[2]
CORE_README = (ROOT / "core/README.md").read_text()
DERIVED = ("file", "ignored_file", "sources")
SETTINGS = [field.name for field in fields(_config.Settings) if field.name not in DERIVED]
VARIABLES = sorted(set(re.findall(r"ONSTAGE_[A-Z]+(?:_[A-Z]+)*", Path(_config.__file__).read_text())))


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_documents_when_it_fires(stage):
    text = inspect.getdoc(getattr(Stages, stage))

    assert text.startswith("Fire")
    assert ALIASES.get(stage, "") in text
    assert stage in hookspecs.__doc__ or stage.startswith(("on_predict", "on_exception"))


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_setting_is_documented(setting):
    assert re.search(rf"`{setting} = |`ONSTAGE_{setting.upper()}=", CORE_README)
    assert re.search(rf"\b{setting}\b", _config.__doc__)


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_is_documented(variable):
    assert f"`{variable}=" in CORE_README
    assert f"``{variable}``" in _config.__doc__


def test_the_lists_are_not_empty():
    assert len(STAGES) == 19
    assert "ONSTAGE_DISABLE" in VARIABLES
    assert "options" in SETTINGS
