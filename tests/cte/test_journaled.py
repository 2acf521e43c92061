"""The entry that a kernel writes of what was flushed, against what msgpack makes of the same."""

import numpy as np
import pytest

from wrp.comm.fresh import HEAD_OF_BYTES
from wrp.cte.folder import frames
from wrp.cte.folder.carried import pack
from wrp.cte.journaled import journaled_write, most_nbytes
from wrp.cte.records import Record, full_name, to_plain
from wrp.cte.records import pack as image_of
from wrp.cte.small import CHANGED, GONE, OTHER, TAKEN, WORDS

BYTES = [b"", b"x", b"W", b"WRP", b"WRPF" * 3, b"aWRPFb\0", b"WRP\0F", b"WRWRPRP", bytes(range(256)) * 20, b"WRP" * 30_000]
OFFSET = 1 << 40


def record(number, tag, blob, nbytes):
    rng = np.random.default_rng(number)
    words = [int(rng.integers(0, 1 << rng.integers(1, 63))) for _ in range(7)]
    extents = ((0, 4096 * number, nbytes, int(rng.integers(0, 1 << 32))), *((1, words[0], words[1], 3),) * (number % 3))
    return Record(full_name(tag, blob), stamp=words[2], size=nbytes, checksum=int(rng.integers(0, 1 << 32)), score=float(rng.random()), extents=extents[:1],
                  durable=extents[1:], created=words[3], read=words[4], reads=words[5], raw=words[6] if number % 2 else 0, codec=number % 2 * 300)


def written(records, states, target, order, buffer=None):
    """The entry, as bytes."""
    images = b"".join(image_of(each) for each, state in zip(records, states) if state == TAKEN)
    rows = np.array([[7, 8, 9, each.size, each.extents[0][3], OFFSET + each.extents[0][1], state] for each, state in zip(records, states)], np.int64)
    assert rows.shape == (len(records), WORDS)
    out = np.full(most_nbytes(len(images), len(rows), sum(each.size for each in records) if buffer is not None else 0) + 8, 0xEE, np.uint8)
    nbytes = journaled_write(id(out), id(rows), len(rows), id(images) + HEAD_OF_BYTES, order, target, id(buffer) if buffer is not None else 0, OFFSET)
    assert out[-8:].tolist() == [0xEE] * 8
    return out[:nbytes].tobytes()


def expected(records, states, target, order, buffer=None):
    taken = [each for each, state in zip(records, states) if state == TAKEN]
    places = [(target, OFFSET + each.extents[0][1], each.size, each.extents[0][3]) for each in taken]
    change = {"put": [to_plain(each.but(durable=(place,))) for each, place in zip(taken, places)], "order": order}
    if buffer is not None:
        change["bytes"] = [pack(buffer[place[1] - OFFSET:place[1] - OFFSET + place[2]].tobytes()) for place in places]
    return frames.encode(change)


NAMES = [("t", "b"), ("tag", "x" * 31), ("é" * 20, "blob/of a name"), ("t" * 300, "b" * 40_000), ("t", "b" * 252), ("t", "b" * 253)]


@pytest.mark.parametrize("count", [1, 15, 16, 300])
def test_it_is_what_msgpack_writes(count):
    records = [record(number, *NAMES[number % len(NAMES)], number % 4000 + 1) for number in range(count)]
    states = [(TAKEN, TAKEN, OTHER, GONE, CHANGED)[number % 5] for number in range(count)]
    assert written(records, states, 1, 1 << 60) == expected(records, states, 1, 1 << 60)
    assert written(records, states, 300, 5) == expected(records, states, 300, 5)


@pytest.mark.parametrize("data", BYTES, ids=range(len(BYTES)))
def test_bytes_that_it_carries(data):
    records = [record(number, "t", f"b{number}", nbytes) for number, nbytes in enumerate((len(data), 5, 4096))]
    buffer = np.full(4096 * 3 + len(data), 0x57, np.uint8)
    buffer[:len(data)] = np.frombuffer(data, np.uint8)
    for states in ([TAKEN] * 3, [OTHER, TAKEN, TAKEN], [TAKEN, GONE, GONE]):
        assert written(records, states, 1, 77, buffer) == expected(records, states, 1, 77, buffer)
