"""`file::` sources: ranges, descriptions, and refusals. What holds for every assimilator is in test_assimilators.py."""

import pytest

from wrp.cae import binary
from wrp.cae.omni import Transfer
from wrp.errors import RangeError, SourceError, SourceMissing


def survey(path, **fields):
    return binary.Binary().survey(Transfer(1, f"file::{path}", "iowarp::t", "binary", **fields))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(100)))
    return path


@pytest.mark.parametrize("range_off, range_size, expected", [(0, 0, (0, 100)), (7, 0, (0, 100)), (7, 93, (7, 93)), (7, 5, (7, 5))])
def test_range(file, range_off, range_size, expected):
    offset, nbytes = expected
    item, = survey(file, range_off=range_off, range_size=range_size).items
    assert item.description == f"binary<size={nbytes}, offset={offset}>"
    buffer = bytearray(item.nbytes)
    reader = item.open()
    reader.read_into(buffer, 0)
    reader.close()
    assert buffer == bytes(range(offset, offset + nbytes))


def test_empty_file_is_a_description_only(tmp_path):
    (tmp_path / "empty").touch()
    item, = survey(tmp_path / "empty").items
    assert (item.description, item.blobs) == ("binary<size=0, offset=0>", 0)


def test_range_beyond_the_end(file):
    with pytest.raises(RangeError, match="bytes 90 to 101 lie beyond the end"):
        survey(file, range_off=90, range_size=11)


def test_missing_and_unreadable(tmp_path):
    with pytest.raises(SourceMissing, match="does not exist"):
        survey(tmp_path / "none")
    with pytest.raises(SourceError, match="not a regular file"):
        survey(tmp_path)


def test_a_file_that_changes_is_noticed(file):
    found = survey(file)
    reader = found.items[0].open()
    file.write_bytes(bytes(50))
    with pytest.raises(SourceError, match="ends at byte 50"):
        reader.read_into(bytearray(100), 0)
    reader.close()
    with pytest.raises(SourceError, match="has 50 bytes here but had 100"):
        found.items[0].open()
    with pytest.raises(SourceError, match="was changed while it was being read"):
        found.sources[0].check()
