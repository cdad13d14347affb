"""`onstage hosts` lists the adapters for other trainers, and tells what each lacks."""

import sys

import pytest
from click.testing import CliRunner

from onstage.cli import main

ADAPTER = """
print("a trainer prints")
class OnstageCallback:
    host = "Trainer"
    lacks = {"save": "use Trainer.dump", "batches": "act in on_epoch_end"}
class Complete:
    host = "Complete"
"""


@pytest.fixture
def adapters(plugin_site):
    hosts = {"trainer": "trainer_mod:OnstageCallback", "complete": "trainer_mod:Complete"}
    plugin_site.add("onstage-trainer", "1.2", hosts=hosts, modules={"trainer_mod": ADAPTER})
    plugin_site.add("onstage-lost", hosts={"lost": "no_such_trainer:OnstageCallback"})


def call(*args):
    result = CliRunner().invoke(main, ["hosts", *args])
    return [" ".join(line.split()) for line in result.stdout.splitlines() if line.strip()], result


def test_the_list_imports_no_trainer(adapters):
    shown, _ = call()

    assert shown == [
        "name adapter distribution version status",
        "complete trainer_mod:Complete onstage-trainer 1.2 installed",
        "lost no_such_trainer:OnstageCallback onstage-lost 1.0 installed",
        "trainer trainer_mod:OnstageCallback onstage-trainer 1.2 installed",
    ]
    assert "trainer_mod" not in sys.modules


def test_a_name_tells_what_the_trainer_lacks_and_its_own_way(adapters):
    shown, _ = call("trainer")

    assert shown == [
        "Trainer, by trainer_mod:OnstageCallback of onstage-trainer 1.2",
        "A callback with one of these needs is refused:",
        "need instead",
        "batches act in on_epoch_end",
        "save use Trainer.dump",
    ]


def test_an_adapter_that_lacks_nothing_says_so(adapters):
    shown, _ = call("complete")

    assert shown[-1] == "Every need is offered to callbacks."


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("traner", "no adapter is called 'traner'; did you mean 'trainer'?"),
        ("lost", "adapter 'lost' of onstage-lost 1.0 is broken: importing no_such_trainer"),
    ],
)
def test_a_name_that_is_unknown_or_broken_is_an_error(name, message, adapters):
    _, result = call(name)

    assert result.exit_code == 1
    assert message in result.stderr


def test_without_an_adapter_the_remedy_is_named(plugin_site):
    shown, _ = call()

    assert shown == ["No adapter for another trainer is installed; try `pip install onstage-lightning`."]
