import functools
import inspect

import pytest
from onstage_lambda_callback import LambdaCallback

from onstage import Bus
from onstage.hookspecs import STAGES, Stages
from onstage.testing import check_callback, replay


def test_behaves_as_every_callback_must():
    check_callback(LambdaCallback)
    check_callback(lambda: LambdaCallback(on_epoch_end=functools.partial(note, [])))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_accepts_a_function(stage):
    callback = LambdaCallback(**{stage: lambda: None})

    assert len(Bus([callback]).implementations(stage)) == 1


def test_functions_are_called_in_their_stages():
    calls = []
    callback = LambdaCallback(
        on_train_begin=lambda: calls.append("begin"),
        on_batch_end=lambda batch: calls.append(batch),
        on_test_end=lambda logs: calls.append(logs),
        on_epoch_end=lambda epoch, logs: calls.append((epoch, logs["val_loss"])),
        on_teardown=lambda: calls.append("teardown"),
    )

    replay(callback, [{"loss": 1.0, "val_loss": 2.0}], batches=2)

    assert calls == ["begin", 0, 1, {"loss": 2.0}, (0, 2.0), "teardown"]


def test_the_first_six_are_positional_as_in_keras():
    calls = []

    replay(LambdaCallback(None, lambda epoch, logs: calls.append(epoch)), [{}, {}])

    assert calls == [0, 1]


class Counter:
    def __init__(self):
        self.epochs = []

    def __call__(self, epoch):
        self.epochs.append(epoch)

    def method(self, epoch, logs=None, *, extra=None):
        self.epochs.append(epoch)


def note(seen, epoch, logs):
    seen.append((epoch, logs.get("loss")))


def test_accepts_a_partial_a_method_and_an_object():
    seen, counter = [], Counter()

    replay(LambdaCallback(on_epoch_end=functools.partial(note, seen)), [{"loss": 1.0}])
    replay(LambdaCallback(on_epoch_end=functools.partial(note, seen=seen)), [{"loss": 2.0}])
    replay(LambdaCallback(on_epoch_end=counter), [{}])
    replay(LambdaCallback(on_epoch_end=counter.method), [{}])

    assert seen == [(0, 1.0), (0, 2.0)]
    assert counter.epochs == [0, 0]


def test_arguments_may_be_keyword_only_and_have_defaults():
    seen = []

    def function(epoch, *, logs, scale=10):
        seen.append(scale * logs["loss"])

    replay(LambdaCallback(on_epoch_end=function), [{"loss": 1.0}])

    assert seen == [10.0]


def test_functions_take_the_arguments_of_keras_under_any_names():
    calls = []

    replay(
        LambdaCallback(
            on_train_begin=calls.append,
            on_batch_end=lambda batch, _: calls.append((batch, _["loss"])),
            on_epoch_end=lambda *args: calls.append(args),
        ),
        [{"loss": 2.0}],
    )

    assert calls == [{}, (0, 2.0), (0, {"loss": 2.0})]


def test_a_builtin_that_takes_anything_prints_what_it_gets(capsys):
    replay(LambdaCallback(on_epoch_end=print), [{"loss": 2.0}])

    assert capsys.readouterr().out == "0 {'loss': 2.0}\n"


def test_every_function_may_use_the_run():
    result = replay(LambdaCallback(on_epoch_end=lambda run: run.stop("enough")), [{}, {}])

    assert result.epochs_run == 1


def test_on_exception_receives_the_error():
    heard = []
    fails = LambdaCallback(on_epoch_end=lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        replay([fails, LambdaCallback(on_exception=lambda exception: heard.append(exception))], [{}])

    assert isinstance(heard[0], ZeroDivisionError)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"on_epoch_ennd": print}, "no argument 'on_epoch_ennd'; did you mean 'on_epoch_end'"),
        ({"epoch_end": print}, "no argument 'epoch_end'; did you mean 'on_epoch_end'"),
        ({"on_epoch_end": "print"}, "LambdaCallback.on_epoch_end must be a function or method, got 'print'"),
        ({"on_epoch_end": list}, "on_epoch_end must be a function or method, got <class 'list'>"),
        ({"on_epoch_end": max}, "on_epoch_end must have a signature that Python can read"),
        ({"on_epoch_end": lambda epok: None}, r"got \(epok\); did you mean 'epoch'"),
        ({"on_epoch_end": lambda **kwargs: None}, r"got \(\*\*kwargs\); name them"),
        ({"on_teardown": lambda *args: None}, r"from \(run\), got \(\*args\); name them"),
        ({"on_epoch_end": lambda epoch, logs, extra: None}, r"got \(epoch, logs, extra\)"),
    ],
)
def test_an_invalid_argument_is_refused_at_once(functions, message):
    with pytest.raises(TypeError, match=message):
        LambdaCallback(**functions)


def test_stages_and_their_arguments_are_those_of_hookspecs():
    for stage in STAGES:
        names = [name for name in inspect.signature(getattr(Stages, stage)).parameters if name != "self"]
        namespace = {}
        exec(f"def function({', '.join(names)}): pass", namespace)

        LambdaCallback(**{stage: namespace["function"]})
