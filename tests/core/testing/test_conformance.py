import threading

import pytest

from onstage import Callback, History, hookimpl
from onstage.testing import CHECKS, FakeModel, Recorder, check_callback

opened = []
"""All files that the callbacks below opened, so that a test can close those left open."""


class Counts(Callback):
    """A correct callback with settings, state and a file."""

    def __init__(self, path="/dev/null", step=1):
        self.path, self.step = path, step
        self.count = 0
        self.file = None

    def on_train_begin(self):
        self.count = 0
        self.file = open(self.path, "w")  # noqa: SIM115  # closed in on_teardown
        opened.append(self.file)

    def on_epoch_end(self, epoch, logs):
        self.count += self.step

    def on_teardown(self):
        if self.file:
            self.file.close()
            self.file = None

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


@pytest.mark.parametrize("good", [Counts, Recorder, History, lambda: Counts(step=3), Counts(step=2)])
def test_a_correct_callback_passes(good):
    check_callback(good)


class Misspelt(Callback):
    def on_epoch_ennd(self, epoch): ...


class WrongArgument(Callback):
    def on_epoch_end(self, epoc): ...


class OnlyOnce(Counts):
    def on_train_begin(self):
        if self.count:
            raise RuntimeError("used up")
        self.count = 1


class NeedsEpochs(Counts):
    def on_train_end(self):
        return 1 / self.count


class NeedsLogs(Callback):
    def on_epoch_end(self, logs):
        return logs["loss"]


class NeedsTraining(Callback):
    def on_train_begin(self):
        self.ready = True

    def on_test_begin(self):
        assert self.ready


class LeavesFile(Counts):
    def on_teardown(self): ...


class LeavesFileAfterError(Counts):
    def on_train_end(self):
        self.file.close()
        self.file = None

    def on_teardown(self): ...


class LeavesThread(Callback):
    def on_train_begin(self):
        threading.Thread(target=released.wait, daemon=True).start()


released = threading.Event()


class Swallows(Callback):
    @hookimpl(wrapper=True)
    def on_epoch_end(self):
        try:
            return (yield)
        except Exception:
            return None


class ForgetsState(Counts):
    def load_state_dict(self, state): ...


class StatelessName(Counts):
    def state_dict(self):
        return {"file": object()}


class Unpicklable(Callback):
    def __init__(self):
        self.lock = threading.Lock()

    def on_epoch_end(self): ...


class TakesAnything(Callback):
    def __init__(self, **options): ...

    def on_epoch_end(self): ...


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Misspelt, "registers: TypeError: .*did you mean 'on_epoch_end'"),
        (WrongArgument, "registers: TypeError: .*did you mean 'epoch'"),
        (OnlyOnce, "fits_twice: RuntimeError: used up"),
        (NeedsEpochs, "zero_epochs: ZeroDivisionError"),
        (NeedsLogs, "empty_logs: KeyError: 'loss'"),
        (NeedsTraining, "evaluates_and_predicts: AttributeError"),
        (LeavesFile, "leaves_nothing_open: AssertionError: files left open after an error in .*/dev/null"),
        (LeavesFileAfterError, "leaves_nothing_open: AssertionError: files left open"),
        (LeavesThread, "leaves_nothing_open: AssertionError: threads left running"),
        (Swallows, "leaves_nothing_open: AssertionError: the error in on_epoch_end was swallowed"),
        (ForgetsState, r"state_survives_a_file: AssertionError:(.|\n)*\['count'\]"),
        (StatelessName, "state_survives_a_file: TypeError"),
        (Unpicklable, "pickles: TypeError: cannot pickle"),
        (
            TakesAnything,
            r"refuses_unknown_arguments: AssertionError: TakesAnything\(no_such_argument=1\) was accepted",
        ),
    ],
)
def test_an_incorrect_callback_fails_the_check_meant_for_it(bad, message):
    try:
        with pytest.raises(AssertionError, match=message):
            check_callback(bad)
    finally:
        released.set()
        released.clear()
        while opened:
            opened.pop().close()


def test_the_error_lists_every_failed_check():
    with pytest.raises(AssertionError) as caught:
        check_callback(NeedsLogs)

    assert str(caught.value) == f"1 of {len(CHECKS)} checks failed\n  empty_logs: KeyError: 'loss'"
    assert isinstance(caught.value.__cause__, KeyError)


def test_check_callback_accepts_a_name_and_a_model_factory(plugin_site):
    source = "class Named:\n    def on_epoch_end(self, epoch):\n        pass\n"
    plugin_site.add("named-pack", callbacks={"named": "named_mod:Named"}, modules={"named_mod": source})
    models = []

    check_callback("named", model=lambda: models.append(1) or FakeModel())

    assert models


@pytest.mark.parametrize("check", CHECKS)
def test_the_checks_can_be_run_one_by_one(check):
    check(Counts, FakeModel)
