"""What tests of several plugins share: a reader of TensorBoard's event files."""

import struct
from types import SimpleNamespace

import pytest
from tensorboardX.proto.event_pb2 import Event


def slow_crc32c(data):
    """Bit by bit: RFC 3720, appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def unmasked(value):
    rotated = (value - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def records(path):
    """Read the records of a file, every checksum checked."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        (of_length,) = struct.unpack_from("<I", data, at + 8)
        content = data[at + 12 : at + 12 + length]
        (of_content,) = struct.unpack_from("<I", data, at + 12 + length)
        assert unmasked(of_length) == slow_crc32c(data[at : at + 8])
        assert unmasked(of_content) == slow_crc32c(content)
        yield Event.FromString(content)
        at += 16 + length


def values_of(folder):
    """Give ``[(tag, step, value)]`` of a run, in the order of the files."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in records(path):
            found += [(value.tag, event.step, value) for value in event.summary.value]
    return found


def points(folder):
    """Give the curves of a run: ``{tag: [(step, value)]}``."""
    curves = {}
    for tag, step, value in values_of(folder):
        if value.HasField("simple_value"):
            curves.setdefault(tag, []).append((step, value.simple_value))
    return curves


def single(folder, tag):
    (value,) = [value for name, _, value in values_of(folder) if name == tag]
    return value


@pytest.fixture
def tfevents():
    """Read event files as the format's description has it, every checksum checked."""
    return SimpleNamespace(
        crc32c=slow_crc32c, records=records, values_of=values_of, points=points, single=single
    )
