"""Sphinx: the documentation of onstage. Build it with `.ci/docs`."""

import inspect
import sys
from pathlib import Path

import onstage

sys.path.insert(0, str(Path(__file__).parent))

from drawing import draw_stages

project = "onstage"
version = release = onstage.__version__
copyright = "the authors of onstage"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"onstage {version}"
html_static_path = ["_static"]
html_theme_options: dict[str, str] = {}
html_show_sphinx = False
html_copy_source = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "py:obj"
napoleon_google_docstring = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
copybutton_exclude = ".linenos, .gp, .go"

static = Path(__file__).parent / "_static"
static.mkdir(exist_ok=True)
(static / "stages.svg").write_text(draw_stages(), encoding="utf-8")


_PLUMBING = ("bind", "get_config", "from_config", "compute_output_shape")


def _skip(app, what, name, thing, skip, options):
    """Leave out what is inherited from pluggy or object, and what every layer or loss overrides alike."""
    module = (getattr(inspect.unwrap(thing), "__module__", "") if callable(thing) else "") or ""
    plumbing = name in _PLUMBING and module.startswith("onstage.nn.") and not module.endswith(".base")
    return True if plumbing or module.partition(".")[0] in ("pluggy", "builtins") else None


def setup(app):
    """Connect the filter."""
    app.connect("autodoc-skip-member", _skip)
