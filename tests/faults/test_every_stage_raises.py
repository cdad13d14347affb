"""An error in any stage: the first error is raised, on_exception and on_teardown fire once."""

import pytest

from onstage import Run
from onstage.hookspecs import ALIASES, STAGES

ERRORS = [ValueError, KeyboardInterrupt, SystemExit, MemoryError]
NOT_RAISING = ("on_exception", "on_teardown", "on_optimizer_step_begin")  # this loop has no optimizer
RAISING_STAGES = [stage for stage in STAGES if stage not in NOT_RAISING]


class Model:
    stop_training = False


def whole_run(callbacks, model):
    """Fire all of the sixteen stages."""
    with Run(model, callbacks=callbacks, epochs=2) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0, 2.0]):
                run.log(loss=1.0)
            for _ in run.test_batches([1.0]):
                run.log(loss=1.0)
        for _ in run.predict_batches([1.0]):
            run.log(outputs=1.0)
    return run


def bomb(stage, error):
    class Bomb:
        exceptions = 0
        teardowns = 0

        def on_exception(self):
            self.exceptions += 1

        def on_teardown(self):
            self.teardowns += 1

    def explode(self):
        raise error

    setattr(Bomb, stage, explode)
    return Bomb()


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("stage", RAISING_STAGES)
def test_the_error_is_raised_with_a_note_and_every_callback_is_told_once(
    stage, kind, position, new_recording
):
    error = kind("by design")
    others = [new_recording("a"), new_recording("b")]
    callbacks = [*others]
    exploding = bomb(stage, error)
    callbacks.insert(position, exploding)
    model = Model()

    with pytest.raises(kind) as caught:
        whole_run(callbacks, model)

    assert caught.value is error
    (note,) = error.__notes__
    assert note.startswith(f"raised by callback Bomb in {ALIASES.get(stage, stage)}")
    for other in others:
        assert other.stages.count("on_exception") == 1
        assert other.stages.count("on_teardown") == 1
        assert other.stages[-2:] == ["on_exception", "on_teardown"]
    assert (exploding.exceptions, exploding.teardowns) == (1, 1)

    again = new_recording("again")
    whole_run([again], model)
    assert again.stages.count("on_epoch_end") == 2


@pytest.mark.parametrize("stage", ["on_exception", "on_teardown"])
@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_during_the_ending_becomes_a_note_on_the_first(stage, kind, new_recording):
    first = ZeroDivisionError("the first")
    others = [new_recording("a"), new_recording("b")]

    class Late:
        pass

    def explode(self):
        raise kind("late")

    setattr(Late, stage, explode)

    with pytest.raises(ZeroDivisionError) as caught:
        whole_run([others[0], bomb("on_epoch_end", first), Late(), others[1]], Model())

    assert caught.value is first
    assert first.__notes__[1] == f"then callback Late raised in {stage}: {kind.__name__}: late"
    for other in others:
        assert other.stages[-2:] == ["on_exception", "on_teardown"]
