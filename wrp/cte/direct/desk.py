"""Desks: what the kernels of the short way have at hand: where things are, who asks, room for a record. Each thread has its own, so that they are written once and not told with every call."""

import os
import struct
from functools import partial
from threading import get_native_id

import numpy as np

from wrp.comm.filed import Room
from wrp.comm.turn import Spares

AT, BLOCKS, RAM = 0, 8, 16      # addresses of the catalog, of the tables of blocks, of the ram
HOLDER = 24                     # who takes a token, see comm/lock.py
VIEWS = 32                      # address of who looks at the ram, see views.py
ROOM, FILES = 40, 48            # addresses of room for bytes on their way from and to files; of the files that are open, see tiers/open.py
FILED = 56                      # ns that a file took for its bytes; its errno where it took none
LEFT = 64                       # 0, or TOOK and how many extents at OLD are nobody's, as a kernel has left it, until that has been seen to
TOOK = 1 << 20                  # what the call had leased isn't its own any more
IMAGE, OLD = 128, 2048          # a record that is made; extents to give back
NBYTES = 4096

_WORDS = struct.Struct("<7q")


class Desk:
    """`buffer` (uint8 array), and the `address` of that, which is what kernels take; its `words`. `loose`: extents that the call in hand has leased and nobody owns yet."""

    def __init__(self, catalog, blocks, ram, views, room, files):
        self.buffer = np.zeros(NBYTES, np.uint8)
        self.address, self.words, self.loose = self.buffer.ctypes.data, memoryview(self.buffer).cast("q"), []
        _WORDS.pack_into(self.buffer, 0, catalog, blocks, ram, os.getpid() << 32 | get_native_id(), views, room, files)


class Desks(Spares):
    """The desks of each thread that looks: to take one and give it back, and the `address` of one for kernels that leave nothing on it."""

    def __init__(self, catalog, blocks, ram, views, files):
        self._room = Room()             # a kernel that uses it has done so when this thread calls another one
        super().__init__(partial(Desk, catalog, blocks, ram, views, self._room.address, files))
        self._open = self._make()
        self.address = self._open.address
