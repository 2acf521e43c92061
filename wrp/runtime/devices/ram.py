"""A device in memory: a region of the node's segment."""

from wrp.comm import atomics
from wrp.comm.sizes import format_size
from wrp.runtime import bdev
from wrp.runtime.devices.device import Device

import numpy as np

PAGE = 2 << 20                  # memory is backed in pieces of this
_WITHOUT_GIL = 64 << 10         # from this size on a copy lets other threads run


class RamDevice(Device):
    """Bytes that all ranks of the node map."""

    kind = "ram"
    align = 64
    first, unit = 2 << 20, 64 << 20

    def __init__(self, node, pool, name):
        super().__init__(node, pool, name)
        self._base = atomics.load(pool._slot.params + bdev.BASE)
        self._backed = node.address + atomics.load(pool._slot.params + bdev.BACKED)

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
        """Reserve the pages nobody has reserved yet, neighbours together."""
        first, last = offset // PAGE, -(-(offset + nbytes) // PAGE)
        page = first
        while page < last:
            upto = page
            while upto < last and not atomics.load(self._backed + 8 * upto):
                upto += 1
            if upto > page:
                self._reserve(page, upto)
            page = upto + 1

    def _reserve(self, first, upto):
        start, end = first * PAGE, min(upto * PAGE, self.capacity)
        self._node.segment.reserve(self._base + start, end - start)
        for page in range(first, upto):
            atomics.store(self._backed + 8 * page, 1)


def _address(view):
    return np.frombuffer(view, np.uint8).ctypes.data


def table_nbytes(capacity):
    """Bytes of the table of pages that are backed."""
    return 8 * -(-capacity // PAGE)


def describe_room(nbytes):
    """For the sentence of a segment without room."""
    return f"{format_size(nbytes)} of ram don't fit into the node's segment: raise runtime.segment_capacity, or ask for less"
