"""What holds for the streams of every assimilator, whatever they are read from."""

import pickle
import random

import pytest

from wrp.cae import split
from wrp.errors import SourceError

from . import reading, zoo


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """Every item of a zoo file, and of a raw one."""
    path = zoo.build(tmp_path_factory.mktemp("contract") / "zoo.h5")
    with open(path, "rb") as source:
        size = len(source.read())
    ranged = reading.survey(f"file::{path}", range_off=1000, range_size=size - 3000)
    found = [*reading.survey(f"hdf5::{path}").items, *reading.survey(f"file::{path}").items, *ranged.items]
    return [item for item in pickle.loads(pickle.dumps(found)) if item.nbytes]


def test_any_pieces_in_order_give_the_same_bytes(items):
    chance = random.Random(3)
    for item in items:
        cuts = sorted({0, item.nbytes, *(chance.randrange(item.nbytes) for _ in range(7))})
        assert b"".join(reading.pieces(item, cuts)) == reading.whole(item), item.tag


def test_any_place_gives_the_same_bytes(items):
    chance = random.Random(4)
    for item in items:
        data = reading.whole(item)
        reader = item.open()
        for _ in range(7):
            start, stop = sorted(chance.randrange(item.nbytes + 1) for _ in range(2))
            part = bytearray(stop - start)
            reader.read_into(part, start)
            assert part == data[start:stop], item.tag
        reader.close()


def test_only_the_given_buffer_is_written(items):
    for item in items:
        frame = bytearray(b"\xa5" * (min(item.nbytes, 100) + 6))
        reader = item.open()
        reader.read_into(memoryview(frame)[3:-3], 0)
        reader.close()
        assert frame[:3] == frame[-3:] == b"\xa5" * 3, item.tag


def test_blobs_are_the_stream(items):
    for item in items:
        extents = [item.extent(blob) for blob in range(item.blobs)]
        assert [start for start, _ in extents] == [number * item.blob_nbytes for number in range(item.blobs)]
        assert sum(nbytes for _, nbytes in extents) == item.nbytes


def test_any_number_of_ranks_reads_the_same(items):
    chosen = [item for item in items if item.blobs > 1 or item.tag.startswith("run/chunked")]
    for size in (1, 3):
        blobs = {}
        for share in split.shares(chosen, size):
            for number, first, stop in share:
                cuts = [chosen[number].extent(blob)[0] for blob in range(first, stop)] + [sum(chosen[number].extent(stop - 1))]
                blobs[number] = blobs.get(number, b"") + b"".join(reading.pieces(chosen[number], cuts))
        assert [blobs[number] for number in range(len(chosen))] == [reading.whole(item) for item in chosen]


def test_a_closed_reader_says_so_and_closes_twice(items):
    for item in items:
        reader = item.open()
        reader.close()
        reader.close()
        with pytest.raises(SourceError, match="closed"):
            reader.read_into(bytearray(1), 0)
