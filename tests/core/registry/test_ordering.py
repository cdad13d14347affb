import itertools
import random

import pytest

from onstage.registry._ordering import sort_callbacks


class Named:
    def __init__(self, name, before=(), after=()):
        self.name, self.before, self.after = name, before, after

    def __repr__(self):
        return self.name


def names(callbacks):
    return "".join(one.name for one in sort_callbacks(callbacks, names=lambda one: (one.name,)))


def test_list_order_is_kept_without_before_and_after():
    class Plain:
        pass

    callbacks = [Plain(), Named("a"), Plain(), Plain()]

    assert sort_callbacks(callbacks) == callbacks


@pytest.mark.parametrize(
    ("callbacks", "order"),
    [
        ([Named("a"), Named("b"), Named("c", before="a")], "cab"),
        ([Named("a", after="c"), Named("b"), Named("c")], "bca"),
        ([Named("a"), Named("b", before="a"), Named("c", before="b")], "cba"),
        ([Named("a", after=["b", "c"]), Named("b"), Named("c"), Named("d")], "bcad"),
        ([Named("a"), Named("b"), Named("c"), Named("d", before=("b", "c"))], "adbc"),
        ([Named("a", before="b"), Named("b")], "ab"),
        ([Named("a", before="z", after="y"), Named("b")], "ab"),
        ([Named("a", before="a"), Named("b")], "ab"),
        ([Named("a"), Named("b", before="c"), Named("c", before="a")], "bca"),
        ([Named("a"), Named("a"), Named("b", before="a")], "baa"),
        ([Named("a"), Named("b", before="a"), Named("c", before="a"), Named("d", before="c")], "bdca"),
    ],
)
def test_a_callback_with_before_or_after_moves_as_little_as_possible(callbacks, order):
    assert names(callbacks) == order


def test_before_accepts_a_class_or_an_entry_point(plugin_site):
    from onstage.registry import _discovery

    source = "class Writer:\n    def on_epoch_end(self): ...\n"
    plugin_site.add("pack", callbacks={"csv_writer": "order_mod:Writer"}, modules={"order_mod": source})
    writer = _discovery.find("csv_writer").load()()

    for name in ("csv_writer", "Writer"):
        first = Named("first", before=name)
        assert sort_callbacks([writer, first]) == [first, writer]


@pytest.mark.parametrize(
    ("callbacks", "cycle"),
    [
        ([Named("a", before="b"), Named("b", before="a")], "a before b before a"),
        ([Named("a", after="b"), Named("b", after="a")], "a before b before a"),
        ([Named("a", before="b", after="b"), Named("b")], "a before b before a"),
        (
            [Named("x"), Named("a", before="b"), Named("b", before="c"), Named("c", before="a")],
            "a before b before c",
        ),
    ],
)
def test_a_cycle_is_refused_with_its_callbacks(callbacks, cycle):
    kinds = {one.name: type(one.name, (), {"before": one.before, "after": one.after})() for one in callbacks}

    with pytest.raises(ValueError, match=f"got the cycle {cycle}"):
        sort_callbacks(list(kinds.values()))


@pytest.mark.parametrize("value", [3, [3], object()])
def test_before_must_be_one_or_several_names(value):
    with pytest.raises(TypeError, match=r"Named\.before must be the name of a callback or several, got"):
        sort_callbacks([Named("a", before=value)])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("csv_loger", "csv_logger"),
        ("CSVLoger", "CSVLogger"),
        ("early_stop", "early_stopping"),
        ("Namd", "Named"),
    ],
)
@pytest.mark.parametrize("attribute", ["before", "after"])
def test_a_misspelt_name_is_refused(attribute, name, meant):
    with pytest.raises(
        ValueError, match=rf"Named\.{attribute} must .*got '{name}'; did you mean '{meant}'\?"
    ):
        sort_callbacks([Named("a", **{attribute: ("csv_logger", name)}), Named("b")])


@pytest.mark.parametrize("name", ["csv_logger", "CSVLogger", "wandb_callback", "MyEarlyStopping", "Timer"])
def test_a_callback_that_is_absent_or_not_installed_may_be_named(name):
    callbacks = [Named("a"), Named("b", before=name)]

    assert sort_callbacks(callbacks) == callbacks


def test_all_constraints_are_satisfied_and_no_callback_is_lost():
    rng = random.Random(7)
    for _ in range(300):
        truth = "abcdefg"
        constraints = [(x, y) for x, y in itertools.combinations(truth, 2) if rng.random() < 0.25]
        said_by_first = {pair: rng.random() < 0.5 for pair in constraints}
        shuffled = rng.sample(truth, len(truth))
        callbacks = []
        for name in shuffled:
            before = [y for x, y in constraints if x == name and said_by_first[x, y]]
            after = [x for x, y in constraints if y == name and not said_by_first[x, y]]
            callbacks.append(Named(name, before, after))

        result = names(callbacks)

        assert sorted(result) == sorted(truth)
        assert all(result.index(x) < result.index(y) for x, y in constraints)
