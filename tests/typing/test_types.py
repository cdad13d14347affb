"""A type checker accepts correct programs that use onstage and finds wrong calls."""

import inspect
import subprocess
import sys

import pytest

from onstage.bus._hook_types import HookCalls
from onstage.hookspecs import STAGES, Stages

PROGRAM = '''
from typing import Any

from onstage import Bus, Callback, History, Run, Sequential, hookimpl, layers
from onstage.callbacks import EarlyStopping


class Quiet(Callback):
    """Names only the arguments that it uses."""

    @hookimpl(trylast=True)
    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        self.last = epoch

    def on_train_end(self) -> None:
        super().on_train_end({})


bus = Bus([Quiet()])
bus.hook.on_epoch_end(epoch=0, logs={"loss": 0.5})
with Run(callbacks=[Quiet(), "csv_logger"], epochs=3) as run:
    for epoch in run.epochs():
        reveal_type(epoch)
        for batch in run.batches([1.0]):
            run.log(loss=batch)
model = Sequential([layers.Dense(1)])
history: History = model.fit([[1.0]], [[1.0]], callbacks=[EarlyStopping()])
'''

WRONG = {
    "bus.hook.on_epoch_end(epochs=0)": 'Unexpected keyword argument "epochs"',
    "bus.hook.on_epoch_ennd(epoch=0)": 'has no attribute "on_epoch_ennd"',
    'bus.hook.on_epoch_end(epoch="first")': 'incompatible type "str"; expected "int"',
    'Run(epochs="three")': 'incompatible type "str"; expected "int | None"',
    "run.stop(3)": 'incompatible type "int"; expected "str"',
    "model.fit(batchsize=3)": 'Unexpected keyword argument "batchsize"',
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    folder = tmp_path_factory.mktemp("typed")
    (folder / "program.py").write_text(PROGRAM + "\n".join(WRONG) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "program.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(("statement", "message"), WRONG.items())
def test_a_wrong_call_is_found(verdict, statement, message):
    line = PROGRAM.count("\n") + 1 + list(WRONG).index(statement)

    assert any(
        text.startswith(f"program.py:{line}: error:") and message in text for text in verdict.splitlines()
    ), verdict


def test_no_other_error_is_found(verdict):
    assert f"Found {len(WRONG)} errors" in verdict, verdict
    assert 'Revealed type is "int"' in verdict or 'Revealed type is "builtins.int"' in verdict


@pytest.mark.parametrize("stage", STAGES)
def test_the_types_of_hook_calls_equal_those_of_the_specifications(stage):
    spec = list(inspect.signature(getattr(Stages, stage)).parameters.values())[1:]
    call = list(inspect.signature(getattr(HookCalls, stage)).parameters.values())[1:]

    assert [(p.name, p.annotation, p.default) for p in call] == [
        (p.name, p.annotation, p.default) for p in spec
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in call)
