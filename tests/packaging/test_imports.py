"""Imports run downward only; core imports no plugin, a plugin only its own dependencies."""

import sys
from importlib.metadata import packages_distributions

import pytest

import onstage
from onstage.registry._distributions import canonicalize_name

# From the bottom up: a folder, or a file beside them, imports only itself and earlier lines.
LAYERS = [
    {"errors"},
    {"logs", "metric_names", "validation", "hyperparameters"},
    {"model"},
    {"context"},
    {"hookspecs", "state", "data", "registry", "reporting"},
    {"callbacks", "bus"},
    {"run"},
    {"backend", "model_view"},
    {"trainer", "hosts"},
    {"nn"},
    {"activations", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers", "schedules"},
    {"testing", "cli", "keras"},
    {"__main__"},
]

# The modules of core that a plugin may import; core/README.md has the same list.
STABLE = {
    "onstage",
    "onstage.callbacks.learning_rate",
    "onstage.callbacks.monitor",
    "onstage.callbacks.tracking",
    "onstage.context",
    "onstage.data",
    "onstage.data.batches",
    "onstage.errors",
    "onstage.hookspecs",
    "onstage.hosts",
    "onstage.logs",
    "onstage.metric_names",
    "onstage.model",
    "onstage.reporting",
    "onstage.state",
    "onstage.state.atomic",
    "onstage.state.background",
    "onstage.state.lock",
    "onstage.state.storage",
    "onstage.testing",
    "onstage.validation",
}

# The public modules that `onstage` offers as attributes; all their names are in ``__all__``.
PUBLIC = {f"onstage.{name}" for name in onstage.__all__}

# The modules that drive a training and do no mathematics.
NO_MATHEMATICS = ("context", "hookspecs", "registry", "bus", "run", "callbacks._base")

# The modules that the layers, losses and metrics of a network must not import.
EVENTS = ("hookspecs", "context", "registry", "bus", "callbacks", "run", "backend", "trainer")


@pytest.fixture(scope="module")
def modules(root):
    """Return a dict from module names below onstage to files; the package itself is ''."""
    return _modules(root / "core/src/onstage")


def _modules(folder):
    found = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@pytest.fixture(scope="module")
def core_imports(modules, imports):
    """Return a dict from module names to the core modules they import, type-only imports included."""
    return _graph(modules, imports, "onstage")


def _graph(modules, imports, package):
    return {
        name: _known(imports(path, for_types=True), modules, package) - {name}
        for name, path in modules.items()
    }


def _known(names, modules, package):
    """Return the package's own modules among `names`; ``run._session.Run`` becomes ``run._session``."""
    below = {name.removeprefix(f"{package}.") for name in names if name.startswith(f"{package}.")}
    return {name if name in modules else name.rpartition(".")[0] for name in below} - {""}


def _layer(module):
    return next(line for line, names in enumerate(LAYERS) if module.partition(".")[0] in names)


def test_every_folder_of_core_has_its_layer(modules):
    placed = [name for names in LAYERS for name in names]

    assert sorted(placed) == sorted({name.partition(".")[0] for name in modules} - {""})


def test_imports_run_downward_from_folder_to_folder(core_imports):
    upward = [
        f"{name} imports {imported}, which is not below it"
        for name, its_imports in core_imports.items()
        for imported in its_imports
        if name and name.partition(".")[0] != imported.partition(".")[0] and _layer(imported) >= _layer(name)
    ]

    assert upward == []


def test_no_modules_import_each_other_in_a_circle(core_imports):
    assert _circle(core_imports) is None


def test_no_modules_of_a_plugin_import_each_other_in_a_circle(plugin, folder_of, imports):
    package = f"onstage_{plugin}"
    modules = _modules(folder_of(plugin) / "src" / package)

    assert _circle(_graph(modules, imports, package)) is None


def _circle(graph):
    """Return a circle of imports, or None; the package's own ``__init__`` only re-exports and is left out."""
    done = set()

    def visit(name, path):
        if name in path:
            return " imports ".join([*path[path.index(name) :], name])
        if name in done or not name:
            return None
        for imported in graph[name]:
            if found := visit(imported, [*path, name]):
                return found
        done.add(name)
        return None

    return next(filter(None, (visit(name, []) for name in graph)), None)


def test_core_has_at_most_12_flat_modules_and_no_file_above_300_lines(modules):
    flat = [path for path in modules.values() if path.parent.name == "onstage" and path.stem != "__init__"]
    long = [path.name for path in modules.values() if len(path.read_text().splitlines()) > 300]

    assert len(flat) <= 12
    assert long == []


def test_the_run_imports_no_numpy(modules, imports):
    for name in [name for name in modules if name.startswith(NO_MATHEMATICS)]:
        known = {imported.partition(".")[0] for imported in imports(modules[name])}
        assert "numpy" not in known, name


def test_the_layers_of_a_network_import_no_event(core_imports):
    for name in [name for name in core_imports if name.startswith("nn.") and name != "nn.sequential"]:
        assert not [one for one in core_imports[name] if one.partition(".")[0] in EVENTS], name


def test_core_imports_no_plugin(modules, imports):
    for name, path in modules.items():
        assert not [one for one in imports(path) if one.startswith("onstage_")], name


def test_a_plugin_imports_only_stable_modules_of_core(plugin, folder_of, modules, imports):
    for path in (folder_of(plugin) / "src").rglob("*.py"):
        used = {
            f"onstage.{name}" if name else "onstage"
            for name in _known(imports(path, for_types=True), modules, "onstage")
        }
        assert used <= STABLE | PUBLIC, f"{path.name}: {sorted(used - STABLE)}"


def test_the_readme_lists_the_stable_modules(root):
    readme = (root / "core/README.md").read_text()

    assert [name for name in sorted(STABLE) if f"`{name}`" not in readme] == []


def test_a_plugin_imports_only_onstage_and_its_declared_dependencies(plugin, folder_of, pyproject, imports):
    project = pyproject(folder_of(plugin))["project"]
    optional = [one for extra in project.get("optional-dependencies", {}).values() for one in extra]
    declared = {_distribution(one) for one in [*project["dependencies"], *optional]}
    # numpy's arrays are part of a model's contract, and onstage-core depends on numpy.
    allowed = {"onstage", f"onstage_{plugin}", "numpy"} | _modules_of(declared) | sys.stdlib_module_names

    for path in (folder_of(plugin) / "src").rglob("*.py"):
        used = {name.partition(".")[0] for name in imports(path)}
        assert used <= allowed, f"{path.name}: {sorted(used - allowed)}"


def _distribution(requirement):
    name = requirement
    for sign in "<>=!~;[ (":
        name = name.partition(sign)[0]
    return canonicalize_name(name)


def _modules_of(distributions):
    # If a distribution isn't installed here, assume that its module has the same name, but for one.
    found = {{"pytorch-ignite": "ignite"}.get(name, name.replace("-", "_")) for name in distributions}
    for module, owners in packages_distributions().items():
        if distributions & {canonicalize_name(owner) for owner in owners}:
            found.add(module)
    return found
