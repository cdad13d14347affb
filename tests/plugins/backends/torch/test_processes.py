"""Several processes on this machine, started by torchrun, over gloo."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.distributed", reason="torch was built without distributed")

PROGRAMS = Path(__file__).parent / "processes"
A_WHILE = 240
"""Seconds after which a launch is killed: many times its usual duration."""


def launch(program, world, folder, *arguments, options=()):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(PROGRAMS / program), str(folder), *arguments]
    if world > 1:
        run = ["-m", "torch.distributed.run", f"--nproc-per-node={world}", "--rdzv-backend=c10d"]
        command[1:1] = [*run, "--rdzv-endpoint=127.0.0.1:0", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=A_WHILE, check=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of the same program with 1, 2 and 4 processes."""
    folder = tmp_path_factory.mktemp("equal")
    found = {}
    for world in (1, 2, 4):
        done = launch("equal.py", world, folder / str(world))
        assert done.returncode == 0, done.stderr
        found[world] = json.loads((folder / str(world) / "results.json").read_text())
    return found


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize(
    "kind",
    [
        *("arrays", "loader", "weighted", "accumulated", "callbacks", "unfrozen", "unfrozen, averaged"),
        *("ignored", "ignored, accumulated", "sum", "learnt_loss"),
    ],
)
def test_many_processes_end_with_the_weights_of_one(kind, world, results):
    together, alone = results[world][kind], results[1][kind]

    assert together["same everywhere"]
    for mine, theirs in zip(together["weights"], alone["weights"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("kind", ["arrays", "loader", "weighted", "accumulated", "unfrozen", "ignored"])
def test_every_process_has_the_metrics_over_all_samples(kind, world, results):
    together, alone = results[world][kind], results[1][kind]

    assert len(together["histories"]) == world
    for history in together["histories"]:
        assert history.keys() == alone["history"].keys()
        for name, values in alone["history"].items():
            assert history[name] == pytest.approx(values, rel=1e-6, abs=1e-6)
    assert together.get("evaluated", []) == pytest.approx(alone.get("evaluated", []), rel=1e-6)


@pytest.mark.parametrize("world", [2, 4])
def test_parameters_of_a_loss_are_learnt_together(world, results):
    assert results[world]["learnt_loss"]["temperature"] == pytest.approx(
        results[1]["learnt_loss"]["temperature"] * world, rel=1e-5
    )


@pytest.mark.parametrize("world", [2, 4])
def test_statistics_of_a_normalization_are_the_same_in_all_processes(world, results):
    assert results[world]["averaged_statistics"]["same"]


@pytest.mark.parametrize("world", [2, 4])
def test_a_stop_requested_in_one_process_ends_all_at_the_same_batch(world, results):
    last = f"process {world - 1} asked to stop"

    after_epoch = results[world]["stops after an epoch"]
    after_batch = results[world]["stops after a batch"]
    where_agreed = results[world]["stops where agreed"]

    # 10 batches an epoch: without agree_every the processes agree when it ends.
    assert (after_epoch["epochs"], after_epoch["batches"]) == (1, [10] * world)
    assert (after_batch["epochs"], after_batch["batches"]) == (1, [10] * world)
    assert (where_agreed["epochs"], where_agreed["batches"]) == (1, [3] * world)
    assert {each["reason"] for each in (after_epoch, after_batch, where_agreed)} == {last}


@pytest.mark.parametrize("world", [2, 4])
def test_a_nan_loss_in_one_process_ends_all(world, results):
    assert results[1]["diverges_in_one"]["batches"] == [1]
    assert results[world]["diverges_in_one"]["batches"] == [2] * world


@pytest.mark.parametrize("world", [2, 4])
def test_callbacks_of_rank_zero_run_once_and_others_in_every_process(world, results):
    together, alone = results[world]["callbacks"], results[1]["callbacks"]

    assert together["plugins"] == alone["plugins"]
    assert together["epochs"] == alone["epochs"]
    assert together["rows"] == alone["rows"] == alone["epochs"] + 1  # with a header
    assert together["readable"] == [True] * world


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are listed by Linux alone")
@pytest.mark.parametrize("whose", ["the model's group", "the program's group"])
def test_no_thread_of_the_group_outlives_the_program(whose, tmp_path):
    """A thread that releases a tensor after the interpreter has ended would abort the process."""
    done = launch("leaves.py", 2, tmp_path, whose)

    assert done.returncode == 0, done.stderr
    for rank in range(2):
        during, after = json.loads((tmp_path / f"threads-{rank}").read_text())
        assert "pt_gloo_runloop" in during
        assert "pt_gloo_runloop" not in after


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are listed by Linux alone")
def test_torch_itself_still_leaves_threads_that_may_abort_the_program(tmp_path):
    """If this fails, torch ends them (pytorch/pytorch issue 190489), and `_release_group` can go."""
    launch("leaves.py", 2, tmp_path, "the program's group", "as torch does")

    for rank in range(2):
        _, after = json.loads((tmp_path / f"threads-{rank}").read_text())
        assert "pt_gloo_runloop" in after


def test_an_error_in_one_process_is_shown_and_ends_all_within_seconds(tmp_path):
    done = launch("fails.py", 2, tmp_path)
    seconds = time.time() - float((tmp_path / "raised").read_text())

    assert done.returncode != 0
    assert seconds < 30
    assert "ValueError: this shard is damaged" in done.stderr
    first = (tmp_path / "error-1").read_text()
    assert first.startswith("ValueError: this shard is damaged | raised by callback Fails")
    other = tmp_path / "error-0"
    # Process 0 sees its neighbour end, unless torchrun ended it first.
    if other.exists():
        assert "the first error was in process 1 of 2: ValueError: this shard is damaged" in other.read_text()


def test_after_a_killed_process_is_restarted_all_end_with_the_same_bits(tmp_path):
    whole = launch("elastic.py", 2, tmp_path / "whole")
    killed = launch("elastic.py", 2, tmp_path / "killed", "kill", options=["--max-restarts=1"])

    assert whole.returncode == 0, whole.stderr
    assert killed.returncode == 0, killed.stderr
    assert (tmp_path / "killed" / "attempts").read_text() == "1"
    assert (tmp_path / "killed" / "epochs").read_text() == "[0, 1, 2, 3, 4]"
    for name in ("weights-0", "weights-1"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    logs = [
        np.genfromtxt(tmp_path / each / "log.csv", delimiter=",", names=True) for each in ("whole", "killed")
    ]
    for name in logs[0].dtype.names:
        resumed_part = (
            2 if name in ("loss", "accuracy") else None
        )  # of that epoch, see TorchMetricAccumulator
        rows = [row for row in range(5) if row != resumed_part]
        np.testing.assert_array_equal(logs[1][name][rows], logs[0][name][rows])
    np.testing.assert_allclose(logs[1]["loss"], logs[0]["loss"], rtol=0.2)
    assert not (tmp_path / "killed" / "backup").exists()


@pytest.mark.parametrize(
    "ranks", ["1", pytest.param("0", marks=pytest.mark.slow), pytest.param("01", marks=pytest.mark.slow)]
)
def test_after_a_signal_in_one_process_all_end_at_the_same_batch_and_continue_there(tmp_path, ranks):
    whole = launch("preempted.py", 2, tmp_path / "whole")
    first = launch("preempted.py", 2, tmp_path / "ended", *ranks)
    places = [(tmp_path / "ended" / f"ended-{rank}").read_text() for rank in range(2)]
    second = launch("preempted.py", 2, tmp_path / "ended")

    assert (whole.returncode, first.returncode, second.returncode) == (0, 0, 0), first.stderr + second.stderr
    # 10 batches an epoch, agreement after every third: the signal in the 15th acts after it.
    assert places == ["interrupted after (1, 4)"] * 2
    for name in ("weights-0", "weights-1"):
        assert (tmp_path / "ended" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_example_prints_the_result_of_one_process_once(tmp_path):
    example = Path(__file__).parents[4] / "examples/torch_distributed.py"
    printed = {}
    for world in (1, 2):
        done = launch(example, world, tmp_path / str(world))
        assert done.returncode == 0, done.stderr
        printed[world] = done.stdout

    last = printed[2].splitlines()[-1]
    assert printed[2].count("test accuracy") == 1
    assert last.replace("2 processes", "1 processes") == printed[1].splitlines()[-1]
    assert float(last.split()[-1]) >= 0.95
