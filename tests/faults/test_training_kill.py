"""A training killed by SIGKILL at random times ends like one that was never killed.

``ONSTAGE_KILLS`` sets the total number of kills.
"""

import os
import random
import signal
import time

import pytest

KILLS = int(os.environ.get("ONSTAGE_KILLS", "12"))
SAVE_FREQUENCIES = ["epoch", 1, 7]


def _killed(process, rng):
    """Kill the program after a random time; return whether it was still running."""
    if rng.random() < 0.8:
        process.stdout.readline()  # wait until it trains: most of the time passes before that
    time.sleep(rng.uniform(0, 0.25))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name != "posix", reason="kills processes")
@pytest.mark.parametrize(
    "save_freq",
    [SAVE_FREQUENCIES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in SAVE_FREQUENCIES[1:])],
)
def test_a_training_killed_at_random_times_ends_like_an_uninterrupted_one(
    tmp_path, unkilled, program, seen_of, save_freq, record_property
):
    rng = random.Random(str(save_freq))
    kills = lives = 0
    while kills < KILLS / len(SAVE_FREQUENCIES):
        lives += 1
        folder = tmp_path / str(lives)
        while _killed(program(folder, save_freq), rng):
            kills += 1
            if kills % 8 == 0:
                break  # let it end
        last = program(folder, save_freq)
        _, stderr = last.communicate()

        assert last.returncode == 0, stderr
        assert seen_of(folder) == unkilled, f"life {lives}, {kills} kills"
    record_property("kills", kills)
