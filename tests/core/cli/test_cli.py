import json
import os
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

import onstage
from onstage.cli import main
from onstage.cli.describe import parameter_docs
from onstage.cli.environment import admits_core, problems_of_blas
from onstage.cli.new import snake_case

ROOT = Path(__file__).parents[3]

WRITER = '''
print("imported", __name__)

class Writer:
    """Write a row after each epoch.

    Parameters
    ----------
    filename
        Where to write. Created if it
        is missing.
    append : bool
        Append to an existing file,
        without a header.

    Attributes
    ----------
    rows
        Nothing to set.
    """

    def __init__(self, filename, *, append=False, **rest): ...

    def on_epoch_end(self, epoch, logs): ...

    def on_train_begin(self): ...
'''

STOPPER = """
from onstage import Callback, hookimpl

class Stopper(Callback):
    before = "writer"

    def __init__(self, patience=0):
        self.patience = patience

    @hookimpl(trylast=True)
    def on_epoch_end(self, epoch): ...
"""


@pytest.fixture
def pack(plugin_site):
    plugin_site.add(
        "writer-pack", "1.2", callbacks={"writer": "writer_mod:Writer"}, modules={"writer_mod": WRITER}
    )
    plugin_site.add(
        "stopper-pack", callbacks={"stopper": "stopper_mod:Stopper"}, modules={"stopper_mod": STOPPER}
    )
    return plugin_site


@pytest.fixture
def settings_file(pack, tmp_path):
    def write(text):
        path = tmp_path / "project" / "pyproject.toml"
        path.write_text(f"[tool.onstage]\n{text}\n")
        return str(path)

    return write


def call(*args):
    result = CliRunner().invoke(main, list(args))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_callbacks_lists_plugins_without_importing_them(pack):
    result = call("callbacks")

    assert lines(result.output) == [
        "Callbacks, active when requested:",
        "name class distribution version status",
        "stopper Stopper stopper-pack 1.0 installed",
        "writer Writer writer-pack 1.2 installed",
    ]
    assert result.exit_code == 0
    assert "writer_mod" not in sys.modules


def test_callbacks_tells_why_a_plugin_can_not_be_used(pack, monkeypatch):
    pack.add("other-pack", callbacks={"writer": "other_mod:Other"})
    monkeypatch.setenv("ONSTAGE_DISABLE", "stopper")

    shown = lines(call("callbacks").output)

    assert "stopper Stopper stopper-pack 1.0 blocked" in shown
    assert "stopper (stopper-pack): blocked by the name 'stopper'" in shown
    assert "writer Writer writer-pack 1.2 duplicate" in shown
    assert any(line.startswith("writer (other-pack): claimed by other-pack 1.0") for line in shown)


def test_callbacks_shows_the_always_on_plugins_and_commands_too(pack):
    pack.add("auto", autouse={"auto": "auto_mod"}, commands={"shout": "auto_mod:shout"})

    shown = lines(call("callbacks").output)

    assert shown[4:7] == [
        "Active in every run:",
        "name class distribution version status",
        "auto auto_mod auto 1.0 installed",
    ]
    assert shown[7] == "Commands added to `onstage`:"


def test_callbacks_names_the_remedy_if_none_is_installed(plugin_site):
    assert lines(call("callbacks").output) == ["No callbacks are installed; try `pip install onstage`."]


def test_callbacks_describes_one_with_its_stages_and_options(pack):
    result = call("callbacks", "writer")

    assert result.exit_code == 0
    shown = lines(result.stdout)
    assert shown[:4] == [
        "writer",
        "summary Write a row after each epoch.",
        "target writer_mod:Writer",
        "from writer-pack 1.2",
    ]
    assert "stages on_train_begin, on_epoch_end" in shown
    assert shown[-3:] == [
        "option default meaning",
        "filename (required) Where to write.",
        "append False Append to an existing file, without a header.",
    ]


def test_callbacks_shows_the_options_of_the_settings(settings_file):
    settings_file("options = {writer = {filename = 'a.csv'}}")

    shown = lines(call("callbacks", "writer").stdout)

    assert "option default setting meaning" in shown
    assert "filename (required) 'a.csv' Where to write." in shown


def test_callbacks_prints_valid_json_even_if_a_plugin_prints(pack):
    pack.add("bad", callbacks={"bad": "bad_mod:Bad"}, modules={"bad_mod": "raise OSError('no disk')"})

    records = {one["name"]: one for one in json.loads(call("callbacks", "--json").stdout)}

    assert records["writer"] == {
        "name": "writer",
        "class": "Writer",
        "value": "writer_mod:Writer",
        "group": "onstage.callbacks",
        "distribution": "writer-pack",
        "version": "1.2",
        "location": str(pack.folder / "writer_pack-1.2.dist-info"),
        "status": "installed",
        "reason": "",
        "summary": "Write a row after each epoch.",
        "stages": ["on_train_begin", "on_epoch_end"],
        "options": [
            {"name": "filename", "required": True, "default": "", "doc": "Where to write."},
            {
                "name": "append",
                "required": False,
                "default": "False",
                "doc": "Append to an existing file, without a header.",
            },
        ],
        "settings": {},
    }
    assert records["stopper"]["stages"] == ["on_epoch_end"]
    assert records["bad"]["status"] == "broken"
    assert "OSError: no disk" in records["bad"]["reason"]
    assert json.loads(call("callbacks", "writer", "--json").stdout) == records["writer"]


def test_callbacks_exits_with_1_for_a_broken_plugin_and_tells_why(pack):
    pack.add("bad", callbacks={"bad": "bad_mod:Bad"}, modules={"bad_mod": "import sys; sys.exit(0)"})

    result = call("callbacks", "bad")

    assert result.exit_code == 1
    assert "broken: callback 'bad' of bad 1.0 is broken" in result.stdout
    assert "SystemExit: 0" in result.stdout


def test_callbacks_suggests_the_closest_name(pack):
    result = call("callbacks", "writter")

    assert result.exit_code == 1
    assert "Error: no callback is called 'writter'; did you mean 'writer'?" in result.output


def test_order_lists_callbacks_in_the_order_of_their_calls_with_reasons(pack):
    result = call("order", "on_epoch_end", '{"writer": {"filename": "x"}}', "stopper", "--verbose", "0")

    assert result.exit_code == 0
    assert lines(result.stdout) == [
        "imported writer_mod",
        "callback from why",
        "1 Writer writer-pack 1.2 given",
        "2 History - part of every run",
        "3 Stopper stopper-pack 1.0 given; trylast; before writer",
    ]


def test_order_includes_callbacks_of_settings_and_autouse(settings_file, pack, monkeypatch):
    path = settings_file("callbacks = [{writer = {filename = 'x'}}]")
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "stopper")
    source = "def on_train_begin(): ...\n"
    pack.add("auto", "0.1", autouse={"auto": "auto_mod"}, modules={"auto_mod": source})

    shown = lines(call("order", "on_train_begin", "--verbose", "0").stdout)

    assert shown[-3:] == [
        "1 auto_mod auto 0.1 autouse plugin 'auto'",
        f"2 Writer writer-pack 1.2 added by {path}, ONSTAGE_CALLBACKS",
        "3 History - part of every run",
    ]


def test_order_says_so_if_no_callback_acts(plugin_site):
    assert call("order", "on_predict_end").output == "No callback acts on on_predict_end.\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["on_epoch_ennd"], "'on_epoch_ennd' is not a stage; did you mean 'on_epoch_end'?"),
        (["on_epoch_end", "stoper"], "no callback is called 'stoper'; did you mean 'stopper'"),
        (["on_epoch_end", "writer"], "writer needs the option 'filename'"),
        (["on_epoch_end", "{stopper"], "'{stopper' must be a name or JSON"),
        (
            ["on_epoch_end", '{"stopper": {"patienc": 1}}'],
            "stopper has no option 'patienc'; did you mean 'patience'",
        ),
    ],
)
def test_order_refuses_invalid_arguments(pack, args, message):
    result = call("order", *args)

    assert result.exit_code != 0
    assert message in result.output


def test_doctor_reports_no_problem_if_there_is_none(settings_file):
    path = settings_file("callbacks = [{writer = {filename = 'x'}}]\ntrace = false")

    result = call("doctor")

    shown = lines(result.stdout)
    assert result.exit_code == 0
    assert shown[-1] == "No problems found."
    assert f"onstage-core {onstage.__version__}" in shown
    assert f"Settings, from {path}:" in shown
    assert f"callbacks writer {path} added to every run" in shown
    assert f"trace no {path} print every call of a callback" in shown
    assert "writer onstage.callbacks writer-pack 1.2 works" in shown


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("callbacks = ['writer']", "callbacks: writer needs the option 'filename'"),
        ("callbacks = ['writter']", "callbacks: no callback is called 'writter'; did you mean 'writer'"),
        (
            "options = {stopper = {patienc = 1}}",
            "options: stopper has no option 'patienc'; did you mean 'patience'",
        ),
        ("disable = ['writter']", "disable names 'writter', which is not installed; did you mean 'writer'"),
        ("callbacks = ['writer_mod:Writer']", "names a module to import, which is disabled"),
        ("trace = 3", "trace must be true or false, got 3"),
        ("tracing = true", "has no key 'tracing'; did you mean 'trace'"),
    ],
)
def test_doctor_finds_mistakes_in_the_settings(settings_file, setting, problem):
    path = settings_file(setting)

    result = call("doctor")

    (shown,) = [line for line in lines(result.stdout) if line.startswith("- ")]
    assert result.exit_code == 1
    assert problem in shown
    assert path in shown


def test_doctor_lists_names_in_the_settings_that_are_not_installed(settings_file):
    settings_file("disable = ['wandb']\noptions = {stopper = {patience = 2}, mlflow = {}}")

    result = call("doctor")

    assert "Named but not installed: wandb (disable), mlflow (options)" in lines(result.stdout)
    assert result.exit_code == 0


def test_doctor_imports_every_plugin_and_counts_the_problems(pack, tmp_path):
    pack.add("bad", callbacks={"bad": "bad_mod:Bad"}, modules={"bad_mod": "1 +"})
    pack.add("twin", callbacks={"writer": "twin_mod:X"})
    pack.add("old", "1.0", callbacks={"old": "old_mod:X"})
    pack.add("old", "2.0", callbacks={"fresh": "stopper_mod:Stopper"})
    pack.add("auto", autouse={"auto": "auto_mod:thing"}, modules={"auto_mod": "thing = 3"})
    pack.add("shell", commands={"shell": "stopper_mod:Stopper"})

    result = call("doctor")

    problems = [line for line in lines(result.stdout) if line.startswith("- ")]
    assert result.exit_code == 1
    assert "6 problems:" in lines(result.stdout)
    for start in (
        "- callback 'bad' of bad 1.0 is broken: importing bad_mod:Bad raised SyntaxError",
        "- callback 'old' of old 1.0 can't be used: old 1.0 in",
        "- callback 'writer' of twin 1.0 can't be used: claimed by twin 1.0 (twin_mod:X) and writer-pack 1.2",
        "- callback 'writer' of writer-pack 1.2 can't be used: claimed by",
        "- autouse plugin 'auto' of auto 1.0 is broken: auto_mod:thing must have hook implementations",
        "- command 'shell' of shell 1.0 must be a click command, got type",
    ):
        assert any(line.startswith(start) for line in problems), start


def test_doctor_finds_a_plugin_that_requires_another_core(pack):
    info = pack.add("ahead", callbacks={"ahead": "stopper_mod:Stopper"})
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: ahead\nVersion: 1.0\nRequires-Dist: numpy\n"
        "Requires-Dist: onstage-core>=99,<100\n"
    )

    result = call("doctor")

    assert result.exit_code == 1
    assert f"- ahead requires onstage-core>=99,<100, installed is {onstage.__version__}" in lines(
        result.stdout
    )


def test_doctor_does_not_import_blocked_plugins(pack, monkeypatch):
    pack.add("bad", callbacks={"bad": "bad_mod:Bad"}, modules={"bad_mod": "raise SystemExit"})
    monkeypatch.setenv("ONSTAGE_DISABLE", "bad")

    result = call("doctor")

    assert result.exit_code == 0
    assert "bad onstage.callbacks bad 1.0 blocked" in lines(result.stdout)
    assert "bad_mod" not in sys.modules


@pytest.mark.parametrize(
    ("requirement", "version", "admitted"),
    [
        ("onstage-core>=0.1,<0.2", "0.1.0", True),
        ("onstage-core>=0.1,<0.2", "0.2.0", False),
        ("onstage-core (>=0.2)", "0.1.9", False),
        ("onstage-core", "7", True),
        ("onstage-core==1!1.0", "1.0", False),
        ("onstage-core>=0.1", "0.1.0rc1", True),
        ("onstage-core>=0.1rc1", "0.1.0.dev3", True),
        ('onstage-core>=9; python_version >= "99"', "0.1", True),
        ('onstage-core>=9; extra == "future"', "0.1", True),
    ],
)
def test_a_requirement_on_the_core_is_read_as_packaging_reads_it(requirement, version, admitted):
    assert admits_core(Requirement(requirement), version) is admitted


def test_doctor_reports_a_requirement_that_is_not_valid(plugin_site):
    info = plugin_site.add("odd", callbacks={"odd": "odd_mod:Writer"}, modules={"odd_mod": WRITER})
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: odd\nVersion: 1.0\nRequires-Dist: onstage core\n"
    )

    result = call("doctor")

    assert result.exit_code == 1
    assert "- odd has the invalid requirement 'onstage core'" in result.stdout


@pytest.mark.parametrize("name", ["best_value", "best-value", "BestValue"])
def test_new_writes_a_package(plugin_site, tmp_path, name):
    result = call("new", name, "--folder", str(tmp_path))

    package = tmp_path / "onstage-best-value"
    assert result.exit_code == 0
    assert sorted(str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()) == [
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/onstage_best_value/__init__.py",
        "src/onstage_best_value/py.typed",
        "tests/test_best_value.py",
    ]


def test_the_tests_that_new_writes_pass(plugin_site, tmp_path):
    call("new", "best_value", "--folder", str(tmp_path))
    package = tmp_path / "onstage-best-value"

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(package)],
        cwd=package,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout


@pytest.mark.slow
def test_the_package_that_new_writes_passes_mypy_and_ruff(plugin_site, tmp_path):
    call("new", "BestValue", "--folder", str(tmp_path))
    package = tmp_path / "onstage-best-value"

    for check in (
        ["mypy", "--strict", "src", "tests"],
        ["ruff", "check", "--select", "E,F,W,I,UP,B,D1", "--ignore", "D107", "src"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
    ):
        ran = subprocess.run([sys.executable, "-m", *check], cwd=package, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_new_writes_author_address_and_workflow(plugin_site, tmp_path):
    options = ("--author", "Ada  Lovelace", "--url", "https://example.org/ada/best", "--ci", "github")

    call("new", "best_value", "--folder", str(tmp_path), *options)

    package = tmp_path / "onstage-best-value"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["urls"] == {"Repository": "https://example.org/ada/best"}
    assert f"(c) {date.today().year} Ada Lovelace\n" in (package / "LICENSE").read_text()
    assert "--group dev" in (package / ".github/workflows/test.yml").read_text()


@pytest.mark.parametrize(
    "url", ["example.org", 'https://a"b', "https://a\\b", "https://a\nb", "javascript:1"]
)
def test_new_refuses_an_address_that_is_none(plugin_site, tmp_path, url):
    result = call("new", "best_value", "--folder", str(tmp_path), "--url", url)

    assert result.exit_code == 2
    assert "--url must be an address" in result.output
    assert not (tmp_path / "onstage-best-value").exists()


@pytest.mark.parametrize(("answer", "exists"), [("y\n", True), ("n\n", False), ("", False)])
def test_new_asks_before_it_makes_a_folder_elsewhere(plugin_site, tmp_path, monkeypatch, answer, exists):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    result = CliRunner().invoke(main, ["new", "best_value", "--folder", "../there"], input=answer)

    assert "../there is outside this folder; make it?" in result.output
    assert (tmp_path / "there/onstage-best-value").exists() is exists
    assert call("new", "best_value", "--folder", "below/here").exit_code == 0


def test_the_package_that_new_writes_is_found_after_its_installation(plugin_site, tmp_path):
    call("new", "best_value", "--folder", str(tmp_path))
    package = tmp_path / "onstage-best-value"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    modules = {"onstage_best_value": (package / "src/onstage_best_value/__init__.py").read_text()}
    plugin_site.add(
        project["name"],
        project["version"],
        callbacks=project["entry-points"]["onstage.callbacks"],
        modules=modules,
    )

    made = onstage.callback("best_value", monitor="val_loss")

    assert made.monitor == "val_loss"
    assert admits_core(Requirement(project["dependencies"][0]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("3things", "first beginning with a letter, got '3things'"),
        ("a/b", "must be words of ASCII letters and digits, the first beginning with a letter, got 'a/b'"),
        ("class", "must not be a word of Python or of the package's own module, got 'class'"),
        ("writer", "'writer' is taken by writer-pack"),
    ],
)
def test_new_refuses_an_invalid_name(pack, tmp_path, name, message):
    result = call("new", name, "--folder", str(tmp_path / "here"))

    assert result.exit_code != 0
    assert message in result.output
    assert not (tmp_path / "here").exists()


def test_new_does_not_overwrite_a_folder(plugin_site, tmp_path):
    (tmp_path / "onstage-mine").mkdir()

    result = call("new", "mine", "--folder", str(tmp_path))

    assert result.exit_code == 1
    assert "onstage-mine exists" in result.output


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("CSVLogger", "csv_logger"),
        ("ReduceLROnPlateau", "reduce_lr_on_plateau"),
        ("a-b.c", "a_b_c"),
        ("x", "x"),
    ],
)
def test_snake_case(name, snake):
    assert snake_case(name) == snake


def test_demo_trains_with_no_plugin_installed(plugin_site):
    result = call("demo", "--epochs", "2")

    assert result.exit_code == 0
    assert "on_train_begin          2 epochs of 29 batches" in result.output
    assert "on_epoch_end 1" in result.output
    assert "Validation accuracy 0." in result.output


def test_a_plugin_adds_a_command(pack):
    source = (
        "import click\n\n@click.command()\n@click.argument('word')\n"
        "def shout(word):\n    click.echo(word.upper())\n"
    )
    pack.add("loud", commands={"shout": "loud_mod:shout"}, modules={"loud_mod": source})

    assert "shout      From loud 1.0." in call("--help").output
    assert "loud_mod" not in sys.modules
    assert call("shout", "hello").output == "HELLO\n"


def test_a_broken_command_does_not_affect_the_others(pack):
    pack.add("bad", commands={"bad": "bad_mod:bad"}, modules={"bad_mod": "raise OSError('no disk')"})
    pack.add("odd", commands={"odd": "json:loads"})

    assert call("--help").exit_code == 0
    broken = call("bad")
    assert (broken.exit_code, "command 'bad' of bad 1.0 is broken" in broken.output) == (1, True)
    assert "must be a click command, got function" in call("odd").output
    assert call("callbacks").exit_code == 0


def test_a_plugin_can_not_replace_a_built_in_command(pack):
    pack.add("rude", commands={"callbacks": "rude_mod:x"})

    assert "writer-pack" in call("callbacks").output


def test_the_closest_command_is_suggested_for_an_unknown_one(pack):
    result = call("docter")

    assert result.exit_code == 2
    assert "no command is called 'docter'; did you mean 'doctor'?" in result.output


def test_the_help_works_with_broken_settings(settings_file):
    settings_file("trace = 3")

    assert call("--help").exit_code == 0
    assert "trace must be true or false" in call("callbacks").output


def test_works_if_every_plugin_is_broken(plugin_site):
    for n in range(3):
        plugin_site.add(f"b{n}", callbacks={f"b{n}": f"b{n}_mod:X"}, autouse={f"a{n}": f"b{n}_mod"})

    for args in (["callbacks"], ["callbacks", "--json"], ["--help"], ["demo", "--epochs", "1"]):
        with pytest.warns(onstage.OnstageWarning) if args[0] == "demo" else _nothing():
            assert call(*args).exit_code == 0
    assert call("doctor").exit_code == 1


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def test_the_list_imports_no_numpy(pack):
    program = (
        "import sys\nfrom onstage.cli import main\n"
        "try: main(['callbacks'])\nfinally: print('numpy' in sys.modules)"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(pack.folder)},
    )

    assert "writer-pack" in printed.stdout
    assert printed.stdout.splitlines()[-1] == "False"


def test_version_prints_the_version_of_the_core():
    assert call("--version").output == f"onstage, version {onstage.__version__}\n"


def test_parameter_docs_reads_several_names_and_stops_at_the_next_section():
    doc = (
        "X.\n\nParameters\n----------\na, b\n    Both. More.\n*args\n    Rest\n\n"
        "Returns\n-------\nc\n    Not one.\n"
    )

    assert parameter_docs(doc) == {"a": "Both.", "b": "Both.", "args": "Rest"}
    assert parameter_docs("No section.") == {}


def test_every_setting_has_a_meaning_in_the_doctor():
    from onstage.cli.doctor import _MEANING
    from onstage.registry._config import _KEYS

    assert set(_MEANING) == {*_KEYS, "allow_import"}, "allow_import comes from the environment alone"
    assert Path(onstage.__file__).name == "__init__.py"


def test_order_lists_a_stage_of_a_package(plugin_site):
    plugin_site.add(
        "records-pack",
        callbacks={"acts": "records_mod:Acts"},
        hookspecs={"on_record": "records_mod:Stages"},
        modules={
            "records_mod": "from onstage import hookspec\n"
            "class Stages:\n    @hookspec\n    def on_record(self, value): ...\n"
            "class Acts:\n    def on_record(self): ...\n"
        },
    )

    shown = json.loads(call("order", "on_record", "acts", "--json").output)

    assert shown == [{"callback": "Acts", "from": "records-pack 1.0", "why": "given"}]
    assert "did you mean 'on_record'" in call("order", "on_recor").output
    assert json.loads(call("callbacks", "acts", "--json").output)["stages"] == ["on_record"]
    assert "Stages added by packages:" in call("callbacks").output


def test_a_class_of_the_current_folder_is_described_and_ordered(plugin_site, tmp_path, monkeypatch):
    (tmp_path / "mine_mod.py").write_text(STOPPER.replace("Stopper", "Mine"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    described = lines(call("callbacks", "mine_mod:Mine").output)
    ordered = lines(call("order", "on_epoch_end", "mine_mod:Mine", "--verbose", "0").output)

    assert "stages on_epoch_end" in described
    assert ordered[1:] == [
        "1 History - part of every run",
        "2 Mine - given; trylast; before writer",
    ]
    refused = call("callbacks", "mine_mod:Callbac")
    assert refused.exit_code == 1
    assert "'mine_mod:Callbac' can't be imported" in refused.output


def test_doctor_prints_json(settings_file, monkeypatch):
    monkeypatch.setenv("ONSTAGE_PYPROJECT", settings_file("callbacks = ['stopper', 'stoper']"))

    result = call("doctor", "--json")

    shown = json.loads(result.stdout[result.stdout.index("{") :])
    assert result.exit_code == 1
    assert shown["versions"]["onstage-core"] == onstage.__version__
    assert {(one["plugin"], one["state"]) for one in shown["plugins"]} >= {("stopper", "works")}
    assert any("stoper" in problem for problem in shown["problems"])


@pytest.mark.parametrize(
    ("flags", "pinned", "found"),
    [
        ("avx avx2 avx512f", "Haswell", True),
        ("avx avx2", "Haswell", False),
        ("avx", "nehalem", True),
        ("avx2", "", False),
    ],
)
def test_doctor_finds_a_kernel_of_openblas_for_older_processors(tmp_path, monkeypatch, flags, pinned, found):
    (tmp_path / "cpuinfo").write_text(f"flags : fpu {flags}\n")
    monkeypatch.setenv("OPENBLAS_CORETYPE", pinned)

    assert bool(list(problems_of_blas(tmp_path / "cpuinfo"))) is found


def test_doctor_finds_a_package_that_a_plugin_requires(pack):
    info = pack.add("needs-pack", callbacks={"needs": "writer_mod:Writer"})
    with (info / "METADATA").open("a") as file:
        file.write("Requires-Dist: onstage-absent\nRequires-Dist: onstage-extra; extra == 'more'\n")

    shown = call("doctor").output

    assert "needs-pack requires onstage-absent, which is not installed: pip install onstage-absent" in shown
    assert "onstage-extra" not in shown


def test_the_command_line_is_a_module_too():
    done = subprocess.run([sys.executable, "-m", "onstage", "--version"], capture_output=True, text=True)

    assert done.stdout == f"onstage, version {onstage.__version__}\n"
