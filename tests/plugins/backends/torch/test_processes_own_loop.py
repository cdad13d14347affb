"""A loop of one's own, and an evaluation inside a callback, in two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.distributed", reason="torch was built without distributed")

PROGRAM = Path(__file__).parent / "processes" / "own_loop.py"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the folder of the program's files, and what each process wrote."""
    folder = tmp_path_factory.mktemp("own")
    run = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    command = [sys.executable, *run, "--rdzv-endpoint=127.0.0.1:0", str(PROGRAM), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, [json.loads((folder / f"own-{rank}.json").read_text()) for rank in (0, 1)]


def test_each_process_has_its_rank_and_only_the_first_writes_the_log(results):
    folder, found = results

    assert [each["each epoch"]["rank"] for each in found] == [0, 1]
    lines = (folder / "epoch.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1"]


def test_a_stop_in_one_process_ends_both_after_the_epoch(results):
    for each in results[1]:
        assert each["each epoch"]["epochs"] == 2
        assert each["each epoch"]["steps"] == 12
    assert results[1][0]["each epoch"]["reason"] == "process 1 asked to stop"


def test_a_stop_in_one_process_ends_both_at_the_batch_where_they_agree(results):
    # Asked in the end stage of step 8, after the agreement of its step: the next one is that of step 10.
    assert [each["each second batch"]["steps"] for each in results[1]] == [10, 10]


def test_weights_have_the_names_of_the_module_inside_the_wrapper(results):
    assert results[1][0]["each epoch"]["names"] == ["weight", "bias"]


def test_an_evaluation_in_a_callback_of_the_first_process_alone_is_refused(results):
    first, second = results[1]

    assert first["refused"].startswith(
        "evaluate must be called by all processes, got a call in EvaluatesInTheFirst.on_epoch_end"
    )
    assert type(first["evaluated"]) is float
    assert first["evaluated"] == second["evaluated"]


def test_a_step_of_ones_own_trains_two_processes_to_the_weights_of_one(results):
    assert all(each["own step"] < 1e-6 for each in results[1])
