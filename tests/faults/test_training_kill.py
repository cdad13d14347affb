"""A training killed at random times, by SIGKILL, ends as one that was never killed.

``ONSTAGE_KILLS`` sets how many kills a training must survive, all in all.
"""

import os
import random
import signal
import time

import pytest

KILLS = int(os.environ.get("ONSTAGE_KILLS", "12"))
SAVE_FREQUENCIES = ["epoch", 1, 7]


def _killed(process, rng):
    """Kill the program some time on; whether it was still there."""
    if rng.random() < 0.8:
        process.stdout.readline()  # it trains: the time before that is the longest
    time.sleep(rng.uniform(0, 0.25))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name != "posix", reason="kills processes")
@pytest.mark.parametrize("save_freq", SAVE_FREQUENCIES)
def test_a_training_killed_at_random_times_ends_as_if_it_had_not_been(
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
                break  # this life may end
        last = program(folder, save_freq)
        _, complaint = last.communicate()

        assert last.returncode == 0, complaint
        assert seen_of(folder) == unkilled, f"life {lives}, {kills} kills"
    record_property("kills", kills)
