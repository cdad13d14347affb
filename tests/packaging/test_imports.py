"""Imports run downward only; core knows no plugin, a plugin only its own libraries."""

import sys
from importlib.metadata import packages_distributions

import pytest

from onstage.registry._distributions import canonicalize_name

# From the top down: a module imports from its own line or from one below.
LAYERS = [
    {"cli", "testing"},
    {"nn.sequential", "nn.saving"},
    {"trainer", "view"},
    {"run", "course", "loops", "setup", "needs", "data", "batches", "data_checks", "data_stream"},
    {"bus", "plugin_checks", "stage_calls"},
    {"dispatch", "hookspecs", "callback", "callbacks", "history", "plot", "monitor", "learning_rate"},
    {"order", "profile", "choosing", "making", "config", "discovery", "plugin", "distributions"},
    {"nn"},
    {"storage", "state_tree", "atomic", "background", "means", "tables", "signals"},
    {"model", "logs", "metric_names", "errors", "checks"},
]

# The part that knows where a training is, and nothing of numbers.
NO_MATHEMATICS = {
    "run",
    "course",
    "loops",
    "setup",
    "needs",
    "bus",
    "plugin_checks",
    "dispatch",
    "hookspecs",
    "callback",
}

# The part that knows numbers, and no event.
NO_EVENTS = {"run", "bus", "dispatch", "hookspecs", "callback", "history", "trainer", "discovery", "choosing"}


@pytest.fixture(scope="module")
def modules(root):
    """Module name below onstage to its file; the package itself is ''."""
    folder = root / "core/src/onstage"
    found = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@pytest.fixture(scope="module")
def core_imports(modules, imports):
    """Module name to the core modules that it imports, wherever it does so."""
    return {name: _of_core(imports(path), modules) for name, path in modules.items()}


def _of_core(names, modules):
    """Keep what is of core; ``run.Run`` becomes its module, ``run``."""
    below = {name.removeprefix("onstage.") for name in names if name.startswith("onstage.")}
    return {name if name in modules else name.rpartition(".")[0] for name in below} - {""}


def _layer(module):
    """Give the line of a module, found by its own name or by a package above it.

    That of one which nobody has placed is the last: another test names it.
    """
    while module:
        for line, names in enumerate(LAYERS):
            if module in names:
                return line
        module = module.rpartition(".")[0]
    return len(LAYERS)


def test_every_module_of_core_has_its_layer(modules):
    assert [name for name in modules if name and _layer(name) == len(LAYERS)] == []
    assert [name for names in LAYERS for name in names if name not in modules] == []


def test_imports_run_downward(core_imports):
    upward = [
        f"{name} imports {imported}, which lies above it"
        for name, its_imports in core_imports.items()
        for imported in its_imports
        if name and _layer(imported) < _layer(name)
    ]

    assert upward == []


def test_no_two_modules_import_each_other_when_imported(modules, imports):
    graph = {name: _of_core(imports(path, at_import_time=True), modules) for name, path in modules.items()}
    done = set()

    def visit(name, path):
        assert name not in path, " imports ".join([*path[path.index(name) :], name])
        if name not in done:
            for imported in graph[name] - {name}:
                visit(imported, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_the_run_knows_no_mathematics(modules, imports):
    for name in NO_MATHEMATICS:
        known = {imported.partition(".")[0] for imported in imports(modules[name])}
        assert "numpy" not in known, name
        assert not any(imported.startswith("onstage.nn") for imported in imports(modules[name])), name


def test_the_layers_of_a_network_know_no_event(core_imports):
    for name, its_imports in core_imports.items():
        if name.startswith("nn") and _layer(name) == _layer("nn"):
            assert not its_imports & NO_EVENTS, name


def test_core_imports_no_plugin(modules, imports):
    for name, path in modules.items():
        assert not [one for one in imports(path) if one.startswith("onstage_")], name


def test_a_plugin_imports_only_onstage_and_what_it_declares(plugin, root, pyproject, imports):
    project = pyproject(f"plugins/{plugin}")["project"]
    optional = [one for extra in project.get("optional-dependencies", {}).values() for one in extra]
    declared = {_distribution(one) for one in [*project["dependencies"], *optional]}
    # numpy's arrays are part of the contract of a model, which onstage-core brings along.
    allowed = {"onstage", f"onstage_{plugin}", "numpy"} | _modules_of(declared) | sys.stdlib_module_names

    for path in (root / f"plugins/{plugin}/src").rglob("*.py"):
        used = {name.partition(".")[0] for name in imports(path)}
        assert used <= allowed, f"{path.name}: {sorted(used - allowed)}"


def _distribution(requirement):
    name = requirement
    for sign in "<>=!~;[ (":
        name = name.partition(sign)[0]
    return canonicalize_name(name)


def _modules_of(distributions):
    # Where it isn't installed here, a distribution is taken to be called like its module.
    found = {name.replace("-", "_") for name in distributions}
    for module, owners in packages_distributions().items():
        if distributions & {canonicalize_name(owner) for owner in owners}:
            found.add(module)
    return found
