"""Reserving memory: pages are there afterwards, bytes stay, and too much is OutOfSpace instead of SIGBUS."""
import errno
import os

import pytest

from wrp.comm import reserve
from wrp.comm.segment import Segment
from wrp.errors import OutOfSpace, UsageError

_MIB = 1 << 20


@pytest.fixture(params=["populate", "old kernel"])
def way(request, monkeypatch):
    """Both ways to back pages: madvise, and what an older Linux has."""
    if request.param == "old kernel":
        monkeypatch.setattr(reserve, "_populate", lambda address, nbytes: errno.EINVAL)
    return request.param


@pytest.fixture
def named():
    with Segment.named(f"reserve-{os.getpid()}", 4 * _MIB, create=True) as made:
        yield made


def _backed(segment):
    return os.fstat(segment._fd).st_blocks * 512


def test_backs_the_range_and_no_more(way, named):
    named.buffer[2 * _MIB] = 7
    before = _backed(named)
    named.reserve(_MIB + 100, _MIB)
    assert _MIB <= _backed(named) - before <= _MIB + 2 * reserve.PAGE
    assert named.buffer[2 * _MIB] == 7 and not any(named.buffer[_MIB:_MIB + 4096])


def test_anonymous_memory(way, segment):
    segment.buffer[_MIB] = 7
    segment.reserve(0, 2 * _MIB)
    assert segment.buffer[_MIB] == 7 and segment.place("a", 8)[1]


def test_more_than_is_free_is_refused_before_any_page_is_taken(way):
    free = reserve.free_bytes()
    if free is None:
        pytest.skip("no /dev/shm here")
    with Segment.named(f"huge-{os.getpid()}", 2 * free + (64 << 20), create=True) as huge:
        before = _backed(huge)
        with pytest.raises(OutOfSpace, match="no room for .* more: .* are free"):
            huge.reserve(0, huge.nbytes)
        assert _backed(huge) == before


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.EFAULT, errno.ENOSPC])
def test_what_linux_says_when_memory_runs_out(monkeypatch, segment, code):
    monkeypatch.setattr(reserve, "_populate", lambda address, nbytes: code)
    with pytest.raises(OutOfSpace, match="no room for 1 MiB"):
        segment.reserve(0, _MIB)


def test_outside_is_refused(segment):
    for offset, nbytes in ((-1, 8), (0, segment.nbytes + 1), (segment.nbytes, 1)):
        with pytest.raises(UsageError, match="lie outside"):
            segment.reserve(offset, nbytes)


def test_the_folder_that_is_full_is_named(tmp_path, named):
    with open(tmp_path / "segment", "w+b") as elsewhere:
        for fd, folder in ((elsewhere.fileno(), str(tmp_path)), (named._fd, "/dev/shm"), (None, "/dev/shm")):
            with pytest.raises(OutOfSpace, match=f"left in {folder}.$"):
                reserve._refuse(_MIB, 0, fd)
