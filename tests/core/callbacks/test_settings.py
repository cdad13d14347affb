"""The repr of a callback: its settings, and no secret."""

import pytest

import onstage
from onstage import Callback
from onstage.callbacks import EarlyStopping, LambdaCallback, RemoteMonitor
from onstage.callbacks import __all__ as INSTALLED


def test_settings_that_differ_from_their_defaults_are_shown():
    assert repr(EarlyStopping()) == "EarlyStopping()"
    assert repr(EarlyStopping(patience=3)) == "EarlyStopping(patience=3)"
    assert repr(EarlyStopping(["a", "b"], 0.5, mode="min")) == (
        "EarlyStopping(monitor=['a', 'b'], min_delta=0.5, mode='min')"
    )


def test_the_repr_of_early_stopping_makes_an_equal_one():
    callback = EarlyStopping("loss", patience=3, restore_best_weights=True)

    again = eval(repr(callback), {"EarlyStopping": EarlyStopping})

    assert repr(again) == repr(callback)


def test_headers_tokens_and_the_paths_of_addresses_are_not_shown(monkeypatch):
    monkeypatch.setenv("TOKEN_OF_MINE", "hidden-token")
    callback = RemoteMonitor(
        "https://example.org/hidden-path",
        headers={"Authorization": "hidden-header"},
        token_env="TOKEN_OF_MINE",
    )

    assert repr(callback) == "RemoteMonitor(root='https://example.org/...', headers=..., token_env=...)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "hidden"),
        ("password", "hidden"),
        ("webhook", "hidden"),
        ("config", {"x": "hidden"}),
        ("url", "https://user:hidden@example.org"),
        ("url", "https://example.org/?key=hidden"),
        ("urls", ["https://example.org/hidden"]),
        ("client", type("Client", (), {"__repr__": lambda self: "hidden"})()),
        ("clients", [type("Client", (), {"__repr__": lambda self: "hidden"})()]),
    ],
)
def test_what_may_hold_a_secret_is_not_shown(name, value):
    namespace = {}
    exec(f"def __init__(self, {name}=None): self.{name} = {name}", namespace)
    callback = type("Mine", (Callback,), {"__init__": namespace["__init__"]})(value)

    assert repr(callback).startswith(f"Mine({name}=")
    assert "hidden" not in repr(callback)


def test_arguments_that_a_subclass_passes_on_are_shown():
    class Mine(EarlyStopping):
        def __init__(self, extra, **options):
            super().__init__(**options)
            self.extra = extra

    assert repr(Mine(1, patience=4)) == "Mine(patience=4, extra=1)"


def test_functions_are_shown_by_name():
    def report(epoch):
        pass

    assert repr(LambdaCallback(on_epoch_end=report)) == "LambdaCallback(on_epoch_end=report)"


def test_an_object_whose_constructor_failed_has_a_repr():
    assert repr(EarlyStopping.__new__(EarlyStopping)) == "EarlyStopping()"


@pytest.mark.parametrize("name", sorted(set(INSTALLED) - {"History"}))
def test_every_installed_callback_is_shown_by_its_class(name):
    cls = getattr(onstage.callbacks, name)

    assert repr(cls.__new__(cls)) == f"{name}()"
