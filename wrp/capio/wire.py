"""The records that programs and the server exchange, and the table they share, as in shim/wire.h (a test compares the two).

A message is one packet of a Unix socket (SOCK_SEQPACKET): a record, then its texts without terminating zeros. No logic of CAPIO.
"""

import os
import struct
import sys
from dataclasses import dataclass

MAGIC = 0x314F4943
VERSION = 3
TEXT = 4096                     # most bytes of a path or text
PACKET = 3 * TEXT

HELLO, READ, WRITE, OPENED, STAT, LIST, RENAME, MKDIR, MORE, DONE, CONTROL, BYE, TABLE, NAME = range(1, 15)
TOLD = frozenset((HELLO, OPENED, DONE, BYE))           # what nobody answers
OF_THREADS = frozenset((WRITE, OPENED))                # `b`: the thread
STREAM, REDIRECT, WATCHED = 1, 2, 4
OPEN, COMMITTED = 0, 1
UNTOLD, MADE, NOTHING, OUTCOMES, TURNS = 0, 1, 2, 3, (1 << 30) - 1      # what came of a post
SLOTS, SLOT_NBYTES, TABLE_HEAD, HEADS = 16384, 192, 4096, 16384
SLOTS_AT = TABLE_HEAD + 4 * HEADS
RINGS, POSTS, POST_NBYTES, RING_HEAD = 32, 512, 160, 4096
RING_NBYTES = RING_HEAD + POSTS * POST_NBYTES
RINGS_AT = SLOTS_AT + SLOTS * SLOT_NBYTES
TABLE_NBYTES = RINGS_AT + RINGS * RING_NBYTES

_CODING = sys.getfilesystemencoding()
_REQUEST = struct.Struct("=IHHiiqqII")
_REPLY = struct.Struct("=IiIiII")
SLOT = struct.Struct("=IIIIQQQqIHH136s")        # counter, state, waiters, generation, device, inode, bytes, mtime, next, path's bytes, is_whole, path
POST = struct.Struct("=II152s")                 # turn and outcome, path's bytes, path
SLOT_PATH, SLOT_PATH_AT = 136, 56


@dataclass(slots=True)
class Request:
    """What a program asks or tells. `a` and `b` mean what shim/wire.h says for each `op`."""

    op: int
    pid: int = 0
    flags: int = 0
    a: int = 0
    b: int = 0
    path: str = ""
    path2: str = ""

    def pack(self):
        path, path2 = os.fsencode(self.path), os.fsencode(self.path2)
        return _REQUEST.pack(MAGIC, self.op, VERSION, self.pid, self.flags, self.a, self.b, len(path), len(path2)) + path + path2

    @classmethod
    def unpack(cls, packet):
        """The request in a packet, or None when it isn't one of this version."""
        if len(packet) < _REQUEST.size:
            return None
        magic, op, version, pid, flags, a, b, first, second = _REQUEST.unpack_from(packet)
        begin = _REQUEST.size
        if magic != MAGIC or version != VERSION or len(packet) != begin + first + second:
            return None
        path = str(packet[begin:begin + first], _CODING, "surrogateescape")
        return cls(op, pid, flags, a, b, path, str(packet[begin + first:], _CODING, "surrogateescape") if second else "")


@dataclass(slots=True)
class Reply:
    """The server's answer: errno (0: go on), what to do, and a sentence or path."""

    error: int = 0
    what: int = 0
    slot: int = -1
    text: str = ""

    def pack(self):
        text = os.fsencode(self.text)
        return _REPLY.pack(MAGIC, self.error, self.what, self.slot, len(text), VERSION) + text

    @classmethod
    def unpack(cls, packet):
        if len(packet) < _REPLY.size:
            return None
        magic, error, what, slot, nbytes, version = _REPLY.unpack_from(packet)
        if magic != MAGIC or version != VERSION:
            return None
        return cls(error, what, slot, os.fsdecode(packet[_REPLY.size:_REPLY.size + nbytes]))
