"""Ranges taken from the page cache: the bytes and checksums of an ordinary read, and never SIGBUS, whatever happens to the file meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from numba import config

from wrp.comm import cached

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is taken without the JIT")

SIZES = [1, 4096, 3 << 19, 100_000, 5]


@pytest.fixture
def file(tmp_path):
    """A descriptor of 4 MB that the page cache holds, and the bytes."""
    data = np.random.default_rng(1).bytes(4_000_000)
    (tmp_path / "file").write_bytes(data)
    descriptor = os.open(tmp_path / "file", os.O_RDWR)
    if taken(descriptor, 0, [1])[0] != 1:
        os.close(descriptor)
        pytest.skip("this file system can't tell what it has in memory")
    yield descriptor, data
    os.close(descriptor)


def taken(descriptor, offset, sizes):
    """(how many ranges, their bytes, their checksums)."""
    out, crcs = np.zeros(sum(sizes), np.uint8), np.full(len(sizes), -1)
    starts = np.cumsum([0, *sizes[:-1]])
    count = cached.take(descriptor, offset, np.array(sizes), out.ctypes.data + starts, crcs)
    return count, out.tobytes(), crcs.tolist()


@pytest.mark.parametrize("offset", [0, 1, 4096, 8191, 1_000_000])
def test_the_bytes_and_their_checksums(file, offset):
    count, out, crcs = taken(file[0], offset, SIZES)
    assert count == len(SIZES) and out == file[1][offset:offset + sum(SIZES)]
    start = offset
    for nbytes, crc in zip(SIZES, crcs):
        assert crc == zlib.crc32(file[1][start:start + nbytes])
        start += nbytes


def test_it_stops_at_what_is_not_there(file):
    descriptor, data = file
    assert taken(descriptor, len(data) - 10, [10]) == (1, data[-10:], [zlib.crc32(data[-10:])])
    assert taken(descriptor, len(data) - 10, [4, 7, 1])[0] == 1
    assert taken(descriptor, 0, [10, cached.LARGEST + 1])[0] == 1
    assert taken(descriptor, len(data) + 4096, [1])[0] == 0
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.pread(descriptor, 1, 0)
    if taken(descriptor, 3 << 20, [1000])[0]:
        pytest.skip("this file system keeps everything in memory")
    assert taken(descriptor, 0, [10])[0] == 1


def test_a_file_with_holes_is_read(tmp_path):
    with open(tmp_path / "holes", "wb") as file:
        file.truncate(1 << 20)
        assert taken(file.fileno(), 0, [1000])[0] == 0


def test_what_is_gone_before_it_is_copied_is_noticed(file):
    descriptor, data = file
    out = np.ones(100_000, np.uint8)
    with cached._made.standing() as guard:
        os.ftruncate(descriptor, 5000)
        for sizes, count in (([5000, 95_000], 1), ([5001], 1), ([12_289, 10], 0)):
            crcs, places = np.zeros(len(sizes), np.int64), out.ctypes.data + np.cumsum([0, *sizes[:-1]])
            source = cached._mapped(guard, descriptor, 0, sum(sizes))
            assert cached._copy(guard, source, np.array(sizes), places, crcs, len(sizes)) == count
            assert not count or crcs[0] == zlib.crc32((data[:5000] + b"\0")[:sizes[0]])
    assert out[:5000].tobytes() == data[:5000]


def test_a_file_that_is_cut_and_grows_again_under_its_reader(file):
    descriptor, data = file
    stop, faults = threading.Event(), cached._HITS // 8
    before = cached._made.words[faults]

    def disturb():
        while not stop.is_set():
            os.ftruncate(descriptor, 10)
            os.pwrite(descriptor, data, 0)

    thread = threading.Thread(target=disturb)
    thread.start()
    deadline = time.monotonic() + 30
    while cached._made.words[faults] == before and time.monotonic() < deadline:
        taken(descriptor, 0, [len(data)])
    stop.set()
    thread.join()
    assert cached._made.words[faults] > before, "the file was never cut at the right moment"
    assert taken(descriptor, 0, [len(data)]) == (1, data, [zlib.crc32(data)])


_ELSEWHERE = """
import mmap, os, signal, sys, tempfile
from wrp.comm import cached
cached._made = cached._Guard()
file = tempfile.TemporaryFile()
file.write(bytes(5000))
file.flush()
heard = []
signal.signal(signal.SIGBUS, lambda *_: heard.append(1))
with cached._made.standing():
    os.kill(os.getpid(), signal.SIGBUS)
    assert heard == [1]
signal.signal(signal.SIGBUS, signal.SIG_DFL)
with cached._made.standing():
    mapped = mmap.mmap(file.fileno(), 5000, prot=mmap.PROT_READ)
    file.truncate(0)
    print("now", flush=True)
    mapped[4999]
"""


def test_other_faults_are_those_of_whoever_heard_them_before():
    done = subprocess.run([sys.executable, "-c", _ELSEWHERE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGBUS, "now\n"), done.stderr


def test_a_handler_that_was_there_is_there_again(file):
    before = signal.getsignal(signal.SIGBUS)
    heard = []
    signal.signal(signal.SIGBUS, lambda *_: heard.append(1))
    try:
        taken(file[0], 0, SIZES)
        os.kill(os.getpid(), signal.SIGBUS)
        assert heard == [1]
    finally:
        signal.signal(signal.SIGBUS, before if before is not None else signal.SIG_DFL)


def test_ctrl_c_leaves_the_handler_that_was_there(file):
    """At whatever moment it comes."""
    before, heard, interrupts = signal.getsignal(signal.SIGBUS), [], 0
    signal.signal(signal.SIGBUS, lambda *_: heard.append(1))
    ready, stop = threading.Event(), threading.Event()

    def interrupt():
        while not stop.is_set():
            ready.wait(5)               # one that Python drops in a finalizer is made up for
            ready.clear()
            if not stop.wait(0.003):
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), cached._made.standing():
            raise KeyboardInterrupt
        thread.start()
        end = time.monotonic() + 30
        while interrupts < 40 and time.monotonic() < end:
            try:
                ready.set()             # none comes before the next time
                while True:
                    taken(file[0], 0, SIZES)
            except KeyboardInterrupt:
                interrupts += 1
    finally:
        while thread.is_alive():
            try:
                stop.set()
                ready.set()
                thread.join()
            except KeyboardInterrupt:
                pass
    try:
        os.kill(os.getpid(), signal.SIGBUS)
        assert heard == [1] and interrupts == 40 and taken(file[0], 0, SIZES)[0] == len(SIZES)
    finally:
        signal.signal(signal.SIGBUS, before if before is not None else signal.SIG_DFL)


def test_one_thread_at_a_time(file):
    with cached._lock:
        assert taken(file[0], 0, [10])[0] == 0
    assert taken(file[0], 0, [10])[0] == 1
