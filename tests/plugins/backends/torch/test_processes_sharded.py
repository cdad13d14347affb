"""A loop of one's own whose module FSDP has sharded over two processes."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.distributed.fsdp", reason="torch was built without distributed")


@pytest.mark.slow
def test_callbacks_run_above_a_sharded_module_and_whole_weights_are_refused(torchrun, tmp_path):
    torchrun("sharded.py", tmp_path)

    for rank in (0, 1):
        found = json.loads((tmp_path / f"sharded-{rank}.json").read_text())
        trained, restored = found["distances"]
        # Of the loop of one process with the joined batches.
        assert max(trained) < 1e-6
        assert max(restored) < 1e-6
        assert found["epochs"] == [0, 1, 2]
        assert found["refusal"].startswith("weights must be whole in each process")
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
