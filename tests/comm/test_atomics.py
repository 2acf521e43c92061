"""Words, copies, futexes and file input and output of atomics.py, alone and between processes."""
import errno
import mmap
import os
import time

import numpy as np
import pytest

from wrp.comm import atomics
from wrp.comm.jit import kernel


@kernel
def _add_many(address, count):
    for _ in range(count):
        atomics.add(address, 1)


@kernel
def _swap_many(address, count):
    for _ in range(count):
        seen = atomics.load(address)
        while atomics.swap(address, seen, seen + 1) != seen:
            seen = atomics.load(address)


@pytest.fixture
def words():
    return np.frombuffer(mmap.mmap(-1, 4096), dtype=np.int64)


def test_words(words):
    address = words.ctypes.data
    atomics.store(address, -5)
    assert atomics.load(address) == words[0] == -5
    assert atomics.add(address, 7) == -5 and words[0] == 2
    assert atomics.swap(address, 2, 9) == 2 and words[0] == 9
    assert atomics.swap(address, 2, 1) == 9 and words[0] == 9
    assert atomics.exchange(address, 2**62) == 9 and words[0] == 2**62
    assert words[1] == 0


@pytest.mark.parametrize("work", [_add_many, _swap_many])
def test_two_processes_lose_no_addition(words, fork, work):
    work(words.ctypes.data + 64, 1)                       # compiled before the fork
    children = [fork(lambda: work(words.ctypes.data, 200_000)) for _ in range(2)]
    assert [child.join() for child in children] == [0, 0]
    assert words[0] == 400_000


def test_copy_and_clear(words):
    words[:4] = 1, 2, 3, 4
    atomics.copy(words.ctypes.data + 32, words.ctypes.data, 24)
    atomics.clear(words.ctypes.data, 16)
    assert words[:8].tolist() == [0, 0, 3, 4, 1, 2, 3, 0]


def test_bytes_are_put_and_found(words):
    memory, address = words.view(np.uint8), words.ctypes.data
    memory[:20] = 7
    for number, byte in enumerate((0x157, 0x52, -1)):
        atomics.store_byte(address + 5 + number, byte)
    assert memory[4:9].tolist() == [7, 0x57, 0x52, 0xFF, 7]
    assert atomics.found_at(address, 20, address + 5, 3) == address + 5 == atomics.found_at(address, 8, address + 6, 2) - 1
    assert atomics.found_at(address, 7, address + 5, 3) == atomics.found_at(address, 0, address, 1) == 0


def test_clock_is_the_one_of_python():
    before = time.monotonic_ns()
    assert before <= atomics.now_ns() <= time.monotonic_ns()
    before = time.time_ns()
    assert before <= atomics.wall_ns() <= time.time_ns()


def test_lowest_bit():
    atomics.fence()
    assert [atomics.lowest_bit(word) for word in (0, 1, 6, 1 << 40, -1 << 63)] == [64, 0, 1, 40, 63]


def test_futex_returns_for_another_value_and_at_its_timeout(words):
    words[0] = (7 << 32) + 3
    assert atomics.futex_wait(words.ctypes.data, 4, 1_000_000) == -errno.EAGAIN
    assert atomics.futex_wait(words.ctypes.data, 3, 2000) == -errno.ETIMEDOUT      # the low 32 bits count


def test_futex_wakes_another_process(words, fork):
    address = words.ctypes.data

    def sleeper():
        atomics.store(address + 8, 1)
        deadline = time.monotonic() + 20
        while atomics.load(address) == 0:
            assert time.monotonic() < deadline
            atomics.futex_wait(address, 0, 20_000_000)

    child = fork(sleeper)
    deadline = time.monotonic() + 20
    while words[1] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    atomics.store(address, 1)
    atomics.futex_wake(address, 1)
    assert child.join() == 0


def test_file_input_and_output(words, tmp_path):
    with open(tmp_path / "file", "w+b") as file:
        words[:2] = 11, 12
        assert atomics.pwrite(file.fileno(), words.ctypes.data, 16, 8) == 16
        assert os.pread(file.fileno(), 100, 0) == bytes(8) + words[:2].tobytes()
        assert atomics.pread(file.fileno(), words.ctypes.data + 64, 100, 16) == 8      # the file ends there
        assert words[8] == 12
    assert atomics.pread(10**6, words.ctypes.data, 8, 0) == -errno.EBADF
    assert atomics.pwrite(10**6, words.ctypes.data, 8, 0) == -errno.EBADF
