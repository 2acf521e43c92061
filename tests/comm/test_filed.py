"""Bytes go to files and come back whole, with their crc32, from and to any place in memory; what doesn't go is told."""

import errno
import os

import numpy as np
import pytest

from wrp.comm.checksum import crc32
from wrp.comm.filed import Room, read_checked, write_checked

_PLACES = (0, 1, 8, 16, 32, 48, 4080)       # behind a page


@pytest.fixture
def file(tmp_path):
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def at(array, place):
    """Where a part of the array begins `place` bytes behind a page."""
    return -array.ctypes.data % 4096 + place


@pytest.mark.parametrize("nbytes", [1, 100, 4096, (1 << 20) - 1, 1 << 20, (5 << 19) + 3])
def test_bytes_go_and_come_whole(file, nbytes):
    data, out, room = np.random.default_rng(nbytes).integers(0, 256, nbytes + 8192, dtype=np.uint8), np.empty(nbytes + 8192, np.uint8), Room()
    for place in _PLACES:
        begin = at(data, place)
        part = data[begin:begin + nbytes]
        os.ftruncate(file, 0)
        assert write_checked(file, part.ctypes.data, nbytes, 4096, room.address) == crc32(part)
        assert os.pread(file, nbytes + 1, 4096) == part.tobytes()
        out[:] = 7
        begin = at(out, place)
        assert read_checked(file, out.ctypes.data + begin, nbytes, 4096, room.address) == crc32(part)
        assert (out[begin:begin + nbytes] == part).all() and (out[:begin] == 7).all() and (out[begin + nbytes:] == 7).all()


@pytest.mark.parametrize("place", _PLACES)
def test_what_does_not_go_or_is_not_there_is_told(file, place):
    data, room = np.ones(3 << 20, np.uint8), Room()
    address = data.ctypes.data + at(data, place)
    full, mute = os.open("/dev/full", os.O_WRONLY), os.open("/dev/null", os.O_RDONLY)
    try:
        assert write_checked(full, address, 2 << 20, 0, room.address) == -errno.ENOSPC
        assert write_checked(mute, address, 100, 0, room.address) == -errno.EBADF
    finally:
        os.close(full), os.close(mute)
    write_checked(file, address, 1000, 0, room.address)
    assert read_checked(file, address, 1000, 0, room.address) >= 0
    assert read_checked(file, address, 1001, 0, room.address) < 0 and read_checked(file, address, 10, 5000, room.address) < 0
