"""A device in memory: a region of the node's segment."""

from wrp.comm import atomics, memory
from wrp.comm.sizes import format_size
from wrp.runtime import bdev
from wrp.runtime.devices.device import Device

import numpy as np

PAGE = 2 << 20                  # memory is backed, and mapped, in pieces of this
_WITHOUT_GIL = 64 << 10         # from this size on a copy lets other threads run


class RamDevice(Device):
    """Bytes that all ranks of the node map."""

    kind = "ram"
    align = 64
    first, unit = 2 << 20, 64 << 20

    def __init__(self, node, pool, name):
        super().__init__(node, pool, name)
        self._base = atomics.load(pool._slot.params + bdev.BASE)
        self._mapped = bytearray(-(-self.capacity // PAGE))     # pages that are backed, and that this process can reach without a fault
        # a part of its own, so that space given back is found again by the rank that has its pages mapped
        self.begin = node.ranks.rank * self._own_part // PAGE * PAGE

    def view(self, offset, nbytes):
        """The bytes themselves: a writable memoryview. It is good until the runtime is closed."""
        self._check_range(offset, nbytes)
        start = self._base + offset
        return self._node.segment.buffer[start:start + nbytes]

    def write(self, offset, data):
        """Copy `data` (bytes-like, contiguous) to the offset."""
        source = memoryview(data).cast("B") if len(data) else memoryview(b"")
        place = self.view(offset, len(source))
        if len(source) < _WITHOUT_GIL:
            place[:] = source
        else:
            atomics.copy(_address(place), _address(source), len(source))

    def read(self, offset, out):
        """Fill `out` (writable bytes-like, contiguous) from the offset."""
        target = memoryview(out).cast("B") if len(out) else memoryview(bytearray())
        place = self.view(offset, len(target))
        if len(target) < _WITHOUT_GIL:
            target[:] = place
        else:
            atomics.copy(_address(target), _address(place), len(target))

    def _back(self, offset, nbytes):
        """Reserve the pages that this process hasn't reserved yet, neighbours together: another one may have, which makes it cheap."""
        page, last = offset // PAGE, -(-(offset + nbytes) // PAGE)
        while page < last:
            page = self._mapped.find(0, page, last)
            if page < 0:
                return
            upto = self._mapped.find(1, page, last)
            upto = last if upto < 0 else upto
            start, end = page * PAGE, min(upto * PAGE, self.capacity)
            self._node.segment.reserve(self._base + start, end - start)
            self._mapped[page:upto] = b"\1" * (upto - page)
            page = upto


def share_of_memory(free):
    """Bytes of a device of capacity 0: four fifths of the machine's memory, as far as `free` bytes go (None: all the way)."""
    limits = [limit for limit in (memory.total() and memory.total() * 4 // 5, free) if limit is not None]
    return max(0, min(limits, default=0)) // PAGE * PAGE


def _address(view):
    return np.frombuffer(view, np.uint8).ctypes.data


def describe_room(nbytes):
    """For the sentence of a segment without room."""
    return f"{format_size(nbytes)} of ram don't fit into the node's segment: raise runtime.segment_capacity, or ask for less"
