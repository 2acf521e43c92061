"""Counters of targets in shared memory: operations and bytes read and written by all processes of a node."""

from typing import NamedTuple

from wrp.comm import atomics
from wrp.comm.jit import kernel

_READS, _READ, _WRITES, _WRITTEN = 0, 8, 16, 24
_LINE = 64                  # a cache line per target


class Counts(NamedTuple):
    """Of one target, since the store was opened."""

    reads: int = 0
    read_nbytes: int = 0
    writes: int = 0
    written_nbytes: int = 0


@kernel
def count_io(counters, target, is_write, nbytes):
    """Add one operation of `nbytes` on a target; nothing where `counters` is 0."""
    if counters != 0:
        line = counters + target * _LINE + (_WRITES if is_write else _READS)
        atomics.add(line, 1)
        atomics.add(line + 8, nbytes)


class Counters:
    """The counters at an address, in zeroed and backed memory; for targets 0 to `count` - 1."""

    def __init__(self, address, count):
        self.address, self._count = address, count

    @staticmethod
    def nbytes(count):
        return count * _LINE

    def note(self, target, is_write, nbytes):
        """Count one operation."""
        if 0 <= target < self._count:
            count_io(self.address, target, is_write, nbytes)

    def read(self):
        """{target: Counts} of the targets that were used."""
        found = {}
        for target in range(self._count):
            line = self.address + target * _LINE
            counts = Counts(*(atomics.load(line + word) for word in (_READS, _READ, _WRITES, _WRITTEN)))
            if any(counts):
                found[target] = counts
        return found
