"""Copies past the cache do what memcpy does, checked ones crc32 too, at every alignment and length."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numba import config

from wrp.comm.checksum import crc32
from wrp.comm.streaming import address_of, copy_checked, copy_streaming, fetch_checked


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 65, 127, 128, 319, 320, 575, 1000, 2047, 1 << 16, (1 << 18) + 100, (1 << 22) + 5])
@pytest.mark.parametrize("to", [0, 1, 32, 63])
@pytest.mark.parametrize("start", [0, 1, 8])
def test_copies_exactly(nbytes, to, start):
    source = np.random.default_rng(nbytes).integers(0, 256, nbytes + 64, dtype=np.uint8)
    target = np.zeros(nbytes + 256, np.uint8)
    place = -target.ctypes.data % 64 + to
    crc = copy_checked(target.ctypes.data + place, source.ctypes.data + start, nbytes)
    assert crc == crc32(source[start:start + nbytes])
    assert (target[place:place + nbytes] == source[start:start + nbytes]).all()
    assert not target[:place].any() and not target[place + nbytes:].any()
    target[:] = 0
    assert fetch_checked(target.ctypes.data + place, source.ctypes.data + start, nbytes) == crc
    assert (target[place:place + nbytes] == source[start:start + nbytes]).all()
    assert not target[:place].any() and not target[place + nbytes:].any()
    target[:] = 0
    copy_streaming(target.ctypes.data + place, source.ctypes.data + start, nbytes)
    assert (target[place:place + nbytes] == source[start:start + nbytes]).all()
    assert not target[:place].any() and not target[place + nbytes:].any()


def test_address_of_read_only_bytes():
    data = b"0123456789"
    out = np.zeros(10, np.uint8)
    copy_checked(out.ctypes.data, address_of(data), 10)
    assert out.tobytes() == data


_ELSEWHERE = """
import numpy as np
from wrp.comm.checksum import crc32
from wrp.comm.streaming import copy_checked, fetch_checked
for nbytes in (100, 5000, (1 << 18) + 100):
    source, target = np.random.default_rng(nbytes).integers(0, 256, nbytes, dtype=np.uint8), np.zeros(nbytes, np.uint8)
    for copy in (copy_checked, fetch_checked):
        target[:] = 0
        assert copy(target.ctypes.data, source.ctypes.data, nbytes) == crc32(source) and (target == source).all()
"""


@pytest.mark.skipif(config.DISABLE_JIT, reason="plain Python is the same on every processor")
def test_processors_without_wide_registers_do_the_same():
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic"}
    done = subprocess.run([sys.executable, "-c", _ELSEWHERE], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
