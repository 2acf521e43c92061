"""Kernels give the same answers and leave the same memory as their twins in plain Python."""

import os
import subprocess
import sys

import numba
import pytest
from twins import operations

from wrp.comm import atomics
from wrp.cte import table


def test_jitted_or_not_the_same_comes_out():
    other = {**os.environ, "NUMBA_DISABLE_JIT": str(1 - numba.config.DISABLE_JIT)}
    done = subprocess.run([sys.executable, operations.__file__], env=other, text=True, capture_output=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name} {found}" for name, found in operations.digests().items()]


@pytest.mark.skipif(not numba.config.DISABLE_JIT, reason="the JIT is on: bin/test runs this once more with NUMBA_DISABLE_JIT=1")
def test_kernels_are_plain_functions_and_words_are_words():
    assert not hasattr(table.table_find, "py_func")
    words, at = operations.memory()
    assert atomics.add(at, (1 << 63) - 1) == 0 and atomics.add(at, 1) == (1 << 63) - 1 and words[0] == -(1 << 63)
    assert atomics.swap(at, 5, 6) == -(1 << 63) and atomics.exchange(at, 7) == -(1 << 63) and atomics.load(at) == 7
    assert atomics.futex_wait(at, 7, 1000) == -110 and atomics.futex_wait(at, 8, 1000) == -11 and atomics.futex_wake(at, 1) == 0
    assert abs(atomics.now_ns() - atomics.now_ns()) < 1e9
    assert atomics.pread(-1, at, 8, 0) == atomics.pwrite(-1, at, 8, 0) == atomics.pread_now(-1, at, 8, 0) == -9
