"""Fixtures for all tests: a callback that records every stage, and a notebook."""

import inspect

import hypothesis
import pytest

from onstage.hookspecs import STAGES, Stages

# By default an example fails that takes 200 ms of wall time: on a busy machine, any.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")


class Recording:
    """Records every call as ``(stage, number, logs)``, logs as a plain dict."""

    def __init__(self, name=""):
        self.name = name
        self.calls = []

    @property
    def stages(self):
        return [call[0] for call in self.calls]


def _method(stage):
    arguments = list(inspect.signature(getattr(Stages, stage)).parameters)[1:-1]
    if arguments == []:
        return lambda self: self.calls.append((stage,))
    if arguments == ["exception"]:
        return lambda self, exception: self.calls.append((stage, type(exception).__name__))
    if arguments == ["logs"]:
        return lambda self, logs: self.calls.append((stage, dict(logs)))
    if arguments == ["epoch", "logs"]:
        return lambda self, epoch, logs: self.calls.append((stage, epoch, dict(logs)))
    return lambda self, batch, logs: self.calls.append((stage, batch, dict(logs)))


for _stage in STAGES:
    if _stage == "on_optimizer_step_begin":  # needs a model that has gradients
        continue
    setattr(Recording, _stage, _method(_stage))


@pytest.fixture
def recording():
    return Recording()


@pytest.fixture
def new_recording():
    return Recording


def _run_cells(*sources):
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    return notebook


@pytest.fixture(scope="session")
def run_cells():
    """Return a function that runs cells in a real kernel, and returns the notebook with its outputs."""
    for name in ("nbclient", "nbconvert", "ipykernel"):
        pytest.importorskip(name, reason=f"needs {name}, of a notebook without a browser")
    return _run_cells
