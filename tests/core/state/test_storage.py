"""State files: a saved state is loaded bit for bit, and nothing else is loaded."""

import hashlib
import json
import math
import struct

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open

from onstage.errors import OnstageWarning, StateError
from onstage.state import storage

KEYS = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["", "$tensor", "$$tensor", "$float", "$", "__metadata__", "a/b", "a", "\ud800", "\0"]
)
ARRAYS = hnp.arrays(
    st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(endianness="?"),
        hnp.unsigned_integer_dtypes(endianness="?"),
        hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    ),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**130), 2**130)
    | st.floats()
    | st.text(st.characters())
    | ARRAYS
)
TREES = st.recursive(
    LEAVES, lambda kids: st.lists(kids, max_size=4) | st.dictionaries(KEYS, kids, max_size=4)
)
STATES = st.dictionaries(KEYS, TREES, max_size=5)


def _same(a, b):
    """Return whether two trees are equal bit for bit, types included; nan equals nan."""
    if isinstance(a, np.ndarray):
        little = np.asarray(a, a.dtype.newbyteorder("<"), order="C")
        return type(b) is np.ndarray and (b.shape, b.dtype, b.tobytes()) == (
            a.shape,
            little.dtype,
            little.tobytes(),
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return a == b


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("state") / "state.safetensors"


@given(state=STATES)
@example(state={"a": {"b": np.ones(1)}, "a/b": np.zeros(2)})
@example(state={"x": -0.0, "y": [math.nan, math.inf, -math.inf], "z": 5e-324})
def test_a_saved_state_is_loaded_bit_for_bit(path, state):
    storage.save(path, state)

    assert _same(state, storage.load(path))


@given(state=STATES)
def test_any_safetensors_reader_opens_a_state_file(path, state):
    storage.save(path, state)

    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
        read = sorted(file.get_tensor(name).tobytes() for name in file.keys())  # noqa: SIM118

    arrays = []

    def collect(value):
        if isinstance(value, np.ndarray):
            arrays.append(value.astype(value.dtype.newbyteorder("<")).tobytes())
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(item)

    collect(state)
    assert read == sorted(arrays)
    assert metadata["format"] == "onstage-state"
    json.loads(metadata["state"])


def _file(state, tensors="", data=b"", *, sha256=None, schema="1", format="onstage-state"):
    """Build a state file by hand, from the JSON texts of its parts."""
    header = (
        f'{{"__metadata__":{{"sha256":"%s","format":"{format}","schema":"{schema}","state":{json.dumps(state)}}}'
        + (f",{tensors}" if tensors else "")
        + "}"
    )
    header += " " * (-(len(header) + 62) % 8)
    length = struct.pack("<Q", len(header) + 62)
    digest = sha256 or hashlib.sha256(length + (header % ("0" * 64)).encode() + data).hexdigest()
    return length + (header % digest).encode() + data


def test_a_file_has_the_documented_layout(path):
    state = {"epoch": 3, "w": [np.array([1, 2], np.uint8), np.array(0.5)], "lr": math.inf, "$x": None}

    storage.save(path, state)

    assert path.read_bytes() == _file(
        '{"epoch":3,"w":[{"$tensor":"w/0"},{"$tensor":"w/1"}],"lr":{"$float":"inf"},"$$x":null}',
        '"w/1":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"w/0":{"dtype":"U8","shape":[2],"data_offsets":[8,10]}',
        struct.pack("<d", 0.5) + b"\1\2",
    )


def test_the_random_state_of_a_generator_survives(path):
    rng = np.random.default_rng(5)
    storage.save(path, {"rng": rng.bit_generator.state})
    expected = rng.random(4)
    other = np.random.default_rng(6)

    other.bit_generator.state = storage.load(path)["rng"]

    np.testing.assert_array_equal(other.random(4), expected)


def test_loaded_arrays_can_be_written_to_and_share_no_memory(path):
    one = np.arange(4.0)
    storage.save(path, {"a": one, "b": one})

    state = storage.load(path)
    state["a"][:] = 0

    np.testing.assert_array_equal(state["b"], one)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.arange(6).reshape(2, 3).T, [[0, 3], [1, 4], [2, 5]]),
        (np.arange(6)[::-2], [5, 3, 1]),
        (np.arange(3, dtype=">i4"), [0, 1, 2]),
        (np.broadcast_to(np.float32(7), (2, 2)), [[7, 7], [7, 7]]),
    ],
    ids=["transposed", "reversed", "big-endian", "broadcast"],
)
def test_arrays_of_any_layout_are_loaded_contiguous(path, array, expected):
    storage.save(path, {"a": array})

    loaded = storage.load(path)["a"]

    assert loaded.tolist() == expected
    assert loaded.flags.c_contiguous
    assert loaded.dtype.isnative


def test_tuples_become_lists_and_numpy_scalars_python_numbers(path):
    storage.save(
        path, {"t": (1, (2,)), "f": np.float32(0.1), "i": np.uint8(3), "b": np.True_, "s": np.str_("x")}
    )

    loaded = storage.load(path)

    assert loaded == {"t": [1, [2]], "f": float(np.float32(0.1)), "i": 3, "b": True, "s": "x"}
    assert [type(value) for value in loaded.values()] == [list, float, int, bool, str]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, r"state must hold dicts, lists, .* got set at 'deep/0'"),
        (b"x", r"got bytes at 'deep/0'"),
        (1j, r"got complex at 'deep/0'"),
        (object(), r"got object at 'deep/0'"),
        (np.longdouble(1), r"got longdouble at 'deep/0'"),
        (
            np.array([None]),
            r"arrays of bool, integers or floats of at most 64 bits, got dtype object at 'deep/0'",
        ),
        (np.array(["x"]), r"got dtype <U1 at 'deep/0'"),
        (np.zeros(1, "f4,f4"), r"got dtype .* at 'deep/0'"),
        (np.array([1j]), r"got dtype complex128 at 'deep/0'"),
        (np.zeros(1, np.longdouble), r"got dtype .* at 'deep/0'"),
        (np.ma.masked_array([1], [True]), r"got a masked array at 'deep/0'"),
        ({3: 4}, r"state must have keys of type str, got 3 at 'deep/0'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_a_state_cannot_hold_are_refused_with_their_path(tmp_path, value, message):
    with pytest.raises(TypeError, match=message):
        storage.save(tmp_path / "s", {"deep": [value]})

    assert list(tmp_path.iterdir()) == []


def test_a_state_must_be_a_dict(tmp_path):
    with pytest.raises(TypeError, match="state must be a dict, got list"):
        storage.save(tmp_path / "s", [1])


def _nested(levels):
    state = {}
    for _ in range(levels):
        state = {"k": [state]}
    return state


def test_the_greatest_depth_and_the_largest_integer_are_saved(path):
    state = {"n": [2**4096 - 1, 1 - 2**4096], "deep": _nested(31)}

    storage.save(path, state)

    assert storage.load(path) == state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (_nested(33), r"state must be at most 64 levels deep, got more at 'k/0/k/0'"),
        ({"n": 2**4096}, r"state must hold integers of at most 4096 bits, got 4097 at 'n'"),
        (
            {"s": "x" * 100_000_000},
            r"state must be at most 100,000,000 bytes besides its arrays, got 100,000,",
        ),
        ({"a": [np.empty(0)] * 100_001}, r"state must hold at most 100,000 arrays, got 100,001"),
    ],
    ids=["depth", "integer", "text", "arrays"],
)
def test_a_state_past_the_limits_is_refused(tmp_path, state, message):
    with pytest.raises(ValueError, match=message):
        storage.save(tmp_path / "s", state)


def test_a_state_that_holds_itself_is_refused(tmp_path):
    state = {}
    state["me"] = state

    with pytest.raises(ValueError, match="state must be at most 64 levels deep, got more at 'me/me/me/me'"):
        storage.save(tmp_path / "s", state)


# Invalid files. Their checksums are right: the content is refused.

_HEAD = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
_REF = '{"x":{"$tensor":"a"}}'


def test_the_hand_made_file_that_the_next_tests_damage_is_valid(path):
    path.write_bytes(_file(_REF, _HEAD, bytes(8)))

    assert storage.load(path)["x"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has 0 bytes, too few for any state; it was cut short"),
        (b"1234567", "it has 7 bytes, too few"),
        (b"\xff" * 200, "its header cannot be 18,446,744,073,709,551,615 bytes long"),
        (struct.pack("<Q", 100_000_001) + bytes(64), "its header cannot be 100,000,001 bytes long"),
        (struct.pack("<Q", 90) + b"{" * 90, "its header does not begin like one of onstage"),
        (struct.pack("<Q", 1000) + b"{}", "its header needs 1,000 bytes, 2 are there; it was cut short"),
        (struct.pack("<Q", 128) + b"{" * 128, "its header does not begin like one of onstage"),
        (struct.pack("<Q", 90) + _file("{}")[8:98], "its header does not begin like one of onstage"),
        (_file("{}", format="other"), "it is not marked as an onstage state"),
        (
            _file("{}", schema="2"),
            "its schema is '2', this onstage reads '1'; .* from another version of onstage",
        ),
        (_file("{}", sha256="0" * 64), "its content does not match its checksum; it is damaged"),
        (_file("{}", "nonsense"), "its JSON is invalid"),
        (_file("{"), "its JSON is invalid"),
        (_file('{"a":NaN}'), "its JSON is invalid"),
        (_file('{"a":' + "9" * 5000 + "}"), "its JSON is invalid"),
        (_file('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), "its JSON is invalid"),
        (_file('{"a":' + "[" * 65 + "]" * 65 + "}"), "its state is more than 64 levels deep"),
        (_file("[]"), "its state is not a dict"),
        (_file('{"$float":"nan"}'), "its state is not a dict"),
        (_file('{"x":{"$float":"one"}}'), r"its state has an unknown mark '\$float'"),
        (_file('{"x":{"$class":"os.system"}}'), r"its state has an unknown mark '\$class'"),
        (_file('{"x":{"$tensor":1}}'), r"its state has an unknown mark '\$tensor'"),
        (_file(_REF), "array 'a' is missing, or used twice"),
        (
            _file('{"x":{"$tensor":"a"},"y":{"$tensor":"a"}}', _HEAD, bytes(8)),
            "array 'a' is missing, or used twice",
        ),
        (_file("{}", _HEAD, bytes(8)), "array 'a' is not part of its state"),
        (_file(_REF, _HEAD, bytes(7)), "its arrays need 8 bytes, 7 are there; it was cut short or added to"),
        (_file(_REF, _HEAD, bytes(9)), "its arrays need 8 bytes, 9 are there"),
        (_file(_REF, _HEAD.replace("[2]", "[3]"), bytes(8)), "array 'a' is not where its shape requires"),
        (
            _file(_REF, _HEAD.replace("[0,8]", "[8,16]"), bytes(16)),
            "array 'a' is not where its shape requires",
        ),
        (
            _file(_REF, _HEAD.replace("[0,8]", "[0,-8]"), bytes(8)),
            "array 'a' is not where its shape requires",
        ),
        (
            _file(_REF, _HEAD.replace("[2]", "[-2]"), bytes(8)),
            "array 'a' has an invalid description",
        ),
        (_file(_REF, _HEAD.replace("[2]", "[true,2]"), bytes(8)), "array 'a' has an invalid description"),
        (_file(_REF, _HEAD.replace("[2]", "[2.0]"), bytes(8)), "array 'a' has an invalid description"),
        (_file(_REF, _HEAD.replace("[2]", str([1] * 33)), bytes(4)), "array 'a' has an invalid description"),
        (
            _file(_REF, _HEAD.replace("[2]", "[9223372036854775808,0]"), b""),
            "array 'a' has an invalid description",
        ),
        (_file(_REF, _HEAD.replace("F32", "C64"), bytes(8)), "array 'a' has an invalid description"),
        (_file(_REF, _HEAD.replace("F32", "object"), bytes(8)), "array 'a' has an invalid description"),
        (_file(_REF, '"a":[]'), "array 'a' has an invalid description"),
        (
            _file(_REF, _HEAD.replace("[2]", "[4611686018427387904,0]").replace("8]", "0]")),
            "an impossible shape",
        ),
        (
            _file(_REF, _HEAD.replace("F32", "BOOL").replace("8]", "2]"), b"\1\2"),
            "array 'a' holds bytes that are not booleans",
        ),
    ],
)
def test_a_file_that_is_no_state_is_refused_by_name(path, content, message):
    path.write_bytes(content)

    with pytest.raises(StateError, match=message) as caught:
        storage.load(path)

    assert str(caught.value).startswith(f"state file '{path}' cannot be used: ")


def test_safetensors_of_another_program_are_refused(path):
    safetensors.numpy.save_file({"w": np.ones(100)}, path)

    with pytest.raises(
        StateError, match="does not begin like one of onstage; it is damaged or another program's"
    ):
        storage.load(path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.load(tmp_path / "none")


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(StateError, match="must be a regular file, got another kind"):
        storage.load(tmp_path)


# The newest readable file.


def _three_files(tmp_path):
    paths = [tmp_path / f"{i}.state" for i in range(3)]
    for i, path in enumerate(paths):
        storage.save(path, {"i": i})
    return paths


def test_the_newest_file_is_loaded(tmp_path):
    paths = _three_files(tmp_path)

    assert storage.load_newest(paths) == (paths[2], {"i": 2})


def test_a_damaged_newest_file_is_replaced_by_the_previous_one_with_a_warning(tmp_path):
    paths = _three_files(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-1])

    with pytest.warns(
        OnstageWarning, match=r"2\.state' cannot be used: .* cut short.*; '.*1\.state' is used instead"
    ):
        assert storage.load_newest(paths) == (paths[1], {"i": 1})


def test_missing_files_are_skipped(tmp_path):
    paths = _three_files(tmp_path)
    paths[2].unlink()

    assert storage.load_newest(paths) == (paths[1], {"i": 1})
    assert storage.load_newest([tmp_path / "none"]) is None
    assert storage.load_newest([]) is None


def test_if_all_files_are_damaged_the_error_names_all(tmp_path):
    paths = _three_files(tmp_path)
    for path in paths:
        path.write_bytes(b"")

    with pytest.raises(StateError, match=r"no state file can be read: .*2\.state.*1\.state.*0\.state"):
        storage.load_newest(paths)
