"""Asking: what goes with a task that changes a safe device's members, in places of the segment: a path, and the sentence of a refusal. Changes nothing itself.

A place is its asker's until he has the answer, and isn't given to another one before who acts on it has ended, though the asker may have gone meanwhile.
"""

import ctypes
import os
from contextlib import contextmanager
from threading import get_native_id

from wrp.comm import atomics
from wrp.comm.lock import is_alive
from wrp.errors import StoreError

PLACES = 16
TEXT_NBYTES = 4096
_ASKER, _IS_ACTED, _TEXT = 0, 8, 64         # pid << 32 | thread
_PLACE_NBYTES = _TEXT + TEXT_NBYTES
NBYTES = PLACES * _PLACE_NBYTES


class Asking:
    """At an address of zeroed memory."""

    def __init__(self, address):
        self._address = address

    @contextmanager
    def asked(self, text):
        """Where the text lies (an address), for a task that is handed over in the block. StoreError when all places are taken, or it is too long."""
        if len(text.encode()) > TEXT_NBYTES:
            raise StoreError(f"safe device: a path of {len(text.encode())} bytes is longer than {TEXT_NBYTES}")
        place = self._taken()
        try:
            ctypes.memmove(place + _TEXT, text.encode(), len(text.encode()))
            yield place + _TEXT
        finally:
            atomics.store(place + _ASKER, 0)

    def _taken(self):
        mine = os.getpid() << 32 | get_native_id()
        for place in range(self._address, self._address + NBYTES, _PLACE_NBYTES):
            seen = atomics.load(place + _ASKER)
            if seen and is_alive(seen >> 32) or atomics.load(place + _IS_ACTED) or atomics.swap(place + _ASKER, seen, mine) != seen:
                continue
            if not atomics.load(place + _IS_ACTED):         # nobody has had it since it was looked at
                return place
            atomics.store(place + _ASKER, 0)
        raise StoreError(f"safe device: {PLACES} changes of its members are under way: wait for one of them")

    @contextmanager
    def handing_over(self, text):
        """The block hands the task of an asked text over; where it raises nobody acts on it."""
        atomics.store(text - _TEXT + _IS_ACTED, 1)
        try:
            yield
        except BaseException:
            atomics.store(text - _TEXT + _IS_ACTED, 0)
            raise

    @contextmanager
    def answering(self, text):
        """Who acts on a text: an error's sentence is left for its asker."""
        is_place = self._address <= text < self._address + NBYTES          # else somebody asks by a task of his own
        try:
            yield
        except Exception as error:
            if is_place:
                said = str(error).encode()[:TEXT_NBYTES - 1] + b"\0"
                ctypes.memmove(text, said, len(said))
            raise
        finally:
            if is_place:
                atomics.store(text - _TEXT + _IS_ACTED, 0)

    @staticmethod
    def sentence(text):
        """That of the refusal of an asked text."""
        return ctypes.string_at(text, TEXT_NBYTES).split(b"\0", 1)[0].decode(errors="replace")
