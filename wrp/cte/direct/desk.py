"""Desks: what the kernels of the short way have at hand: where things are, who asks, room for a record. One for each thread, so that it is written once and not told with every call."""

import os
import struct
import threading
from threading import get_native_id

import numpy as np

AT, BLOCKS, RAM = 0, 8, 16      # addresses of the catalog, of the tables of blocks, of the ram
HOLDER = 24                     # who takes a token, see comm/lock.py
IMAGE, OLD = 64, 2048           # a record that is made; extents to give back
NBYTES = 4096

_WORDS = struct.Struct("<4q")


class Desk(threading.local):
    """Each thread that looks at it finds its own `buffer` (uint8 array) and the `address` of that, which is what kernels take."""

    def __init__(self, catalog, blocks, ram):
        self.buffer = np.zeros(NBYTES, np.uint8)
        self.address = self.buffer.ctypes.data
        _WORDS.pack_into(self.buffer, 0, catalog, blocks, ram, os.getpid() << 32 | get_native_id())
