"""Counters of targets in shared memory: operations and bytes read and written by all processes of a node."""

from typing import NamedTuple

from wrp.comm import atomics
from wrp.comm.jit import Directly, kernel
from wrp.cte.targetnumbers import place_of

_READS, _READ, _WRITES, _WRITTEN = 0, 8, 16, 24
_LINE = 64                  # a cache line per target
TARGETS = 64                # that have counters; those of more nodes' files are not counted
COUNTED_FILES = TARGETS * 3 // 4    # the first ram and data files of lower numbers


class Counts(NamedTuple):
    """Of one target, since the store was opened."""

    reads: int = 0
    read_nbytes: int = 0
    writes: int = 0
    written_nbytes: int = 0


@kernel
def count_io(counters, target, is_write, nbytes, operations):
    """Add operations of `nbytes` together on a target; nothing where `counters` is 0."""
    if counters != 0:
        line = counters + target * _LINE + (_WRITES if is_write else _READS)
        atomics.add(line, operations)
        atomics.add(line + 8, nbytes)


_kernels = Directly(count=(count_io, 5))


class Counters:
    """The counters at an address, in zeroed and backed memory: `count` lines, of which a quarter is for targets that aren't files or the first ram."""

    def __init__(self, address, count):
        self.address, self._count = address, count
        self._files = count * 3 // 4
        self.extra = ()             # numbers of the targets that are neither the first ram nor data files

    @staticmethod
    def nbytes(count):
        return count * _LINE

    def note(self, target, is_write, nbytes, operations=1):
        """Count operations of `nbytes` together."""
        place = place_of(target)
        line = target if place is None else self._files + place
        if line < self._count and (place is not None or target < self._files):
            _kernels.count(self.address, line, is_write, nbytes, operations)

    def read(self):
        """{target: Counts} of the targets that were used."""
        found = {}
        for target, number in [*((target, target) for target in range(self._files)), *((extra, self._files + place_of(extra)) for extra in self.extra)]:
            if number >= self._count:
                continue
            line = self.address + number * _LINE
            counts = Counts(*(atomics.load(line + word) for word in (_READS, _READ, _WRITES, _WRITTEN)))
            if any(counts):
                found[target] = counts
        return found

    def watch(self):
        """A function: True where something of the node was read or written since it was called last, which it has to be once."""
        seen = [None]

        def moves():
            before, seen[0] = seen[0], self.read()
            return before not in (None, seen[0])
        return moves
