"""Data files that are open for reading, as kernels find them: a row for each of COUNTED_FILES. Who opens and closes them is content.py."""

import numpy as np

from wrp.comm.atomics import load, now_ns, store
from wrp.comm.filed import read_checked
from wrp.comm.jit import kernel
from wrp.cte.telemetry.counters import COUNTED_FILES

_ROW = 24
_DESCRIPTOR, _READ, _TOOK = 0, 8, 16    # 1 more than the descriptor, 0: it isn't open; bytes that kernels have read, ns that they took


@kernel
def open_fetch(files, target, to, nbytes, offset, room):
    """Read bytes of a data file: their crc32, or -1 where another way has to."""
    if target < 1 or target >= COUNTED_FILES:
        return -1
    row = files + _ROW * target
    descriptor, begin = load(row + _DESCRIPTOR) - 1, now_ns()
    if descriptor < 0:
        return -1
    crc = read_checked(descriptor, to, nbytes, offset, room)
    if crc >= 0:
        store(row + _READ, load(row + _READ) + nbytes)
        store(row + _TOOK, load(row + _TOOK) + now_ns() - begin)
    return crc


class Open:
    """The rows, at `address`."""

    def __init__(self):
        self._rows = np.zeros((COUNTED_FILES, _ROW // 8), np.int64)
        self.address = self._rows.ctypes.data

    def show(self, target, descriptor):
        """Kernels may read this target by the descriptor."""
        if target < COUNTED_FILES:
            self._rows[target, 0] = descriptor + 1

    def hide(self):
        """They may read none any more."""
        self._rows[:, 0] = 0

    def taken(self):
        """[(target, bytes, ns)] of what kernels have read since the last time; threads may lose each other's counts."""
        found = [(target, nbytes, ns) for target, (_, nbytes, ns) in enumerate(self._rows.tolist()) if nbytes]
        self._rows[:, 1:] = 0
        return found
