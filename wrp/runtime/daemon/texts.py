"""Texts in a segment: a length and its bytes, written by one process for others that are told afterwards. And the names of pools."""

import json

import numpy as np

from wrp.comm import atomics
from wrp.errors import UsageError
from wrp.runtime import pools

_ENTRY = 512


def write(segment, address, capacity, value):
    """Put `value` as JSON at an address of the segment. UsageError when it doesn't fit into `capacity` bytes."""
    try:
        data = json.dumps(value, default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"parameters of a daemon's pool must be what JSON can say: {error}") from None
    if len(data) > capacity:
        raise UsageError(f"{len(data)} bytes of parameters are too many for a daemon: it takes {capacity}")
    start = address - segment.address + 8
    segment.buffer[start:start + len(data)] = data
    atomics.store(address, len(data))


def _plain(value):
    """A number of NumPy's as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def read(segment, address, capacity):
    """What was written; None when there is nothing."""
    count = atomics.load(address)
    if not 0 < count <= capacity:
        return None
    start = address - segment.address + 8
    return json.loads(bytes(segment.buffer[start:start + count]))


class Names:
    """Name and, of a file device, path of every pool of the node, by the pool's slot. The daemon writes, others read."""

    def __init__(self, segment, offset):
        self._segment, self._address = segment, segment.address + offset

    @classmethod
    def create(cls, segment):
        offset, _ = segment.place("runtime.names", pools.MOST * _ENTRY)
        segment.reserve(offset, pools.MOST * _ENTRY)
        return offset, cls(segment, offset)

    def set(self, number, name, path):
        """Once per pool; a name too long for the table is cut, its path left out."""
        address = self._address + number * _ENTRY
        if atomics.load(address):
            return
        for value in ((name, path), (name, None), (name[:80], None)):
            try:
                return write(self._segment, address, _ENTRY - 8, value)
            except UsageError:
                continue        # the next one is shorter

    def clear(self, number):
        """The pool is gone."""
        atomics.store(self._address + number * _ENTRY, 0)

    def get(self, number):
        """(name, path or None) of a pool; None of one that has none yet."""
        found = read(self._segment, self._address + number * _ENTRY, _ENTRY - 8)
        return None if found is None else tuple(found)
