"""Several hosts: torchrun in two network namespaces, joined by a virtual cable."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torch.distributed", reason="torch was built without distributed")

PROGRAM = Path(__file__).parent / "processes/uneven.py"
FIRST, SECOND = "10.203.7.1", "10.203.7.2"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=60)


@pytest.fixture
def hosts():
    """Return the names of two namespaces, of which each has the address of one host."""
    if not shutil.which("ip") or os.geteuid():
        pytest.skip("network namespaces need iproute2 and root")
    names = [f"onstage-{os.getpid()}-{number}" for number in (1, 2)]
    made = []
    try:
        try:
            for name in names:
                ip("netns", "add", name)
                made.append(name)
            cable = ["type", "veth", "peer", "name", "cable", "netns", names[1]]
            ip("link", "add", "cable", "netns", names[0], *cable)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces can't be made here: {error.stderr.strip()}")
        for name, address in zip(names, (FIRST, SECOND), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in made:
            ip("netns", "delete", name)


@pytest.mark.slow
def test_two_hosts_train_as_two_processes_of_one(hosts, tmp_path):
    run = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
    run += [f"--rdzv-endpoint={FIRST}:29400", "--rdzv-id=hosts"]
    started = []
    try:
        for name, address in zip(hosts, (FIRST, SECOND), strict=True):
            is_first = f"--rdzv-conf=is_host={address == FIRST}"  # Not looked up: there is no name server.
            own = [sys.executable, *run, is_first, f"--local-addr={address}", str(PROGRAM), str(tmp_path)]
            started.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", name, *own],
                    env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "cable"},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        printed = [each.communicate(timeout=400) for each in started]
    finally:
        for each in started:
            each.kill()

    assert [each.returncode for each in started] == [0, 0], [errors for _, errors in printed]
    for rank in (0, 1):
        found = json.loads((tmp_path / f"uneven-{rank}.json").read_text())
        np.testing.assert_allclose(found["stream"]["weights"], found["by hand"], rtol=1e-6, atol=1e-7)
        assert found["list"] == [[epoch, batch] for epoch in (0, 1) for batch in range(3)]
