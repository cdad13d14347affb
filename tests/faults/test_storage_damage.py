"""A damaged or hostile file is a StateError: no crash, no hang, no memory.

``ONSTAGE_FUZZ_INPUTS`` sets how many mutated files are tried, and a tenth of
that how many inputs Hypothesis makes up.
"""

import hashlib
import json
import os
import random
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onstage.errors import StateError
from onstage.state import _header, storage

INPUTS = int(os.environ.get("ONSTAGE_FUZZ_INPUTS", "4000"))
fuzz = settings(
    max_examples=INPUTS // 10, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

STATE = {
    "epoch": 3,
    "best": float("nan"),
    "names": ["dense", "é", None, True],
    "rng": {"state": 2**127 + 1},
    "kernel": np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6),
    "steps": np.arange(5),
    "mask": np.array([True, False]),
    "none": np.empty((0, 2), np.float16),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("damage") / "state"


@pytest.fixture(scope="module")
def content(path):
    storage.save(path, STATE)
    return path.read_bytes()


def _refusal(path, content):
    """Load these bytes, which must fail; give the message."""
    path.write_bytes(content)
    with pytest.raises(StateError) as caught:
        storage.load(path)
    return str(caught.value)


def test_every_truncation_is_detected_and_named(path, content):
    for length in range(len(content)):
        assert _refusal(path, content[:length]).startswith(f"state file '{path}' cannot be used: ")


def test_every_addition_is_detected(path, content):
    for extra in (b"\0", b" ", b"}", content):
        _refusal(path, content + extra)
        _refusal(path, extra + content)


def test_every_flipped_bit_is_detected(path, content):
    damaged = bytearray(content)
    for position in range(len(content)):
        for bit in range(8):
            damaged[position] ^= 1 << bit
            _refusal(path, damaged)
            damaged[position] ^= 1 << bit

    assert len(content) * 8 > 5_000
    path.write_bytes(damaged)
    assert storage.load(path)["epoch"] == 3


def test_one_flipped_bit_is_detected_at_thousands_of_places_of_a_large_file(path):
    storage.save(path, {"w": np.random.default_rng(0).normal(size=20_000)})
    content = bytearray(path.read_bytes())
    rng = random.Random(0)

    for position in [*rng.choices(range(len(content)), k=2_000), len(content) - 1]:
        bit = 1 << rng.randrange(8)
        content[position] ^= bit
        _refusal(path, content)
        content[position] ^= bit


def test_two_swapped_arrays_are_detected(path):
    storage.save(path, {"a": np.zeros(8), "b": np.ones(8)})
    content = path.read_bytes()

    swapped = content[:-128] + content[-64:] + content[-128:-64]

    assert "does not match its checksum" in _refusal(path, swapped)


# Fuzz: a StateError or a good load.


def _load_or_refuse(path, content):
    path.write_bytes(content)
    try:
        return storage.load(path)
    except StateError:
        return None


@fuzz
@given(content=st.binary(max_size=400))
def test_random_bytes_are_refused(path, content):
    assert _load_or_refuse(path, content) is None


def _mutated(content, rng):
    """Change a few bytes, cut a piece, double a piece, or set a number."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(damaged) + 1)
        piece = damaged[at : at + rng.randint(0, 40)]
        match rng.randrange(5):
            case 0:
                damaged[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del damaged[at : at + len(piece)]
            case 2:
                damaged[at:at] = piece
            case 3:
                damaged[at : at + len(piece)] = rng.randbytes(len(piece))
            case 4:
                damaged[at:at] = rng.choice(
                    [b"[", b"{", b'"', b"9" * 20, b"-1", b"null", b"1e400", b"\\u0000", b'"$tensor"']
                )
    return bytes(damaged)


def _sealed(content):
    """Set header length and checksum right, so that what is inside gets read."""
    end = content.rfind(b"}}") + 2
    while content[end : end + 1] == b" ":
        end += 1
    header, data = content[8:end], content[end:]
    length = struct.pack("<Q", len(header))
    blank = header[:27] + b"0" * 64 + header[91:]
    digest = hashlib.sha256(length + blank + data).hexdigest().encode()
    return length + header[:27] + digest + header[91:] + data


def test_mutated_files_are_refused(path, content):
    for seed in range(INPUTS):
        damaged = _mutated(content, random.Random(seed))

        assert damaged == content or _load_or_refuse(path, damaged) is None, f"seed {seed}"


def test_mutated_files_with_a_right_checksum_load_or_are_refused(path, content):
    loaded = 0
    for seed in range(INPUTS):
        damaged = _sealed(_mutated(content, random.Random(seed)))
        state = _load_or_refuse(path, damaged)
        loaded += state is not None
        assert state is None or isinstance(state, dict)

    assert 0 < loaded < INPUTS, "the mutations must reach both sides"


MARKS = st.sampled_from(["a", "b", "$tensor", "$float", "$$a", "$", "__metadata__", "__class__", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda kids: st.lists(kids, max_size=3) | st.dictionaries(MARKS, kids, max_size=3),
)
NUMBERS = st.sampled_from([0, 1, 2, 8, 16, -1, 2**31, 2**62, 2**63, 2**64, True, 1.0, None, "1"])
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F64", "BOOL", "U8", "F16", "C64", "BF16", "O", None, ["F32"]]),
        "shape": st.lists(NUMBERS, max_size=4) | JSON,
        "data_offsets": st.lists(NUMBERS, max_size=3) | JSON,
    },
    optional={"more": JSON},
)


@fuzz
@given(
    table=st.dictionaries(st.sampled_from(["a", "b", "$tensor", ""]), ENTRIES | JSON, max_size=3),
    metadata=st.dictionaries(st.sampled_from(["format", "schema", "state", "more"]), JSON, max_size=2),
    state=JSON,
    data=st.binary(max_size=40),
)
def test_any_header_with_a_right_checksum_loads_or_is_refused(path, table, metadata, state, data):
    described = {"sha256": "0" * 64, "format": "onstage-state", "schema": "1", "state": json.dumps(state)}
    header = json.dumps({"__metadata__": {**described, **metadata}, **table}, separators=(",", ":")).encode()
    length = struct.pack("<Q", len(header))
    digest = hashlib.sha256(length + header + data).hexdigest().encode()

    loaded = _load_or_refuse(path, length + header[:27] + digest + header[91:] + data)

    assert loaded is None or isinstance(loaded, dict)


# Files that claim more than they hold.


def _claiming(state, tensors=""):
    metadata = {"sha256": "0" * 64, "format": "onstage-state", "schema": "1", "state": state}
    header = f'{{"__metadata__":{json.dumps(metadata, separators=(",", ":"))}{tensors}}}'
    return _sealed(bytes(8) + header.encode())


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + bytes(1000),
        struct.pack("<Q", 99_999_999) + bytes(1000),
        _claiming("{}", ',"a":{"dtype":"F64","shape":[1099511627776],"data_offsets":[0,8796093022208]}'),
        _claiming("{}", ',"a":{"dtype":"F64","shape":[1099511627776,1099511627776],"data_offsets":[0,8]}'),
        _claiming("{}", ',"a":{"dtype":"F64","shape":[4611686018427387904,0],"data_offsets":[0,0]}'),
        _claiming("[" * 400_000),
        _claiming('{"a":' * 100_000),
        _claiming('{"a":' + "1" * 1_000_000 + "}"),
    ],
    ids=[
        "header 2**63",
        "header 100 MB",
        "8 TB array",
        "overflowing shape",
        "huge empty array",
        "deep lists",
        "deep dicts",
        "long number",
    ],
)
def test_claims_take_no_more_memory_than_the_file_s_size_warrants(path, content):
    path.write_bytes(content)

    tracemalloc.start()
    with pytest.raises(StateError):
        storage.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 40 * len(content) + 300_000


def test_loading_takes_the_arrays_memory_once(path):
    storage.save(path, {"w": np.zeros(1_000_000), "v": np.zeros(1_000_000)})

    tracemalloc.start()
    storage.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1.02 * 16_000_000


def test_saving_takes_no_copy_of_the_arrays(path):
    state = {"w": np.zeros(1_000_000), "v": np.zeros(1_000_000)}

    tracemalloc.start()
    storage.save(path, state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(StateError, match="must be a regular file, got another kind"):
        storage.load(tmp_path / "pipe")


@pytest.mark.parametrize("item", ["{}", "[]", '{"a":1}', "[[1]]", "0.5", '"x"'])
def test_json_takes_at_most_forty_times_its_memory_and_a_limited_number_of_dicts_and_lists(path, item):
    storage.save(path, {"list": [json.loads(item) for _ in range(20_000)]})

    tracemalloc.start()
    storage.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 40 * path.stat().st_size


def test_more_dicts_and_lists_than_the_limit_are_refused_before_they_are_made(path, monkeypatch):
    many = {"list": [{} for _ in range(2_000)]}
    storage.save(path, many)
    monkeypatch.setattr(_header, "MAX_CONTAINERS", 2_000)

    assert "has more than 2,000 dicts and lists" in _refusal(path, path.read_bytes())
    with pytest.raises(ValueError, match="state must have at most 2,000 dicts, lists"):
        storage.save(path, many)
