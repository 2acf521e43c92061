"""Notes: messages of a few words between the first ranks of nodes, sent and taken by kernels. Knows no note's content, waits for nothing.

A message of MPI to a receive that is posted already crosses in less than half the time of a put (0.2 against 0.6 us between two processes of a machine), and
needs no ring at the other end. But nobody counts how many are on their way: notes are for what each sender has few of at a time.
The words are used by one thread at a time.
"""

import ctypes

import numpy as np
from numba import config

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.onesided import c_caller

WORDS = 12                      # of a note
_TAG = 78
_TAKING, _SENDING = 16, 64      # receives that are posted, and notes on their way, at least
_PATIENCE = 1000                # tests of a receive that was called off

# Byte offsets of the words: addresses of MPI's functions, its handles, and where things lie
_ISEND, _IRECV, _TEST, _CANCEL, _BYTE, _COMM, _SOURCE, _IN, _OUT, _ROOM, _RANKS = (8 * number for number in range(11))
# counts: notes sent, those of them that have left, taken, receives posted; HERE 1: the next one is there, BROKEN 1: MPI has refused something
_SENT, _LEFT, _TAKEN, _POSTED, _HERE, _BROKEN, _FLAG, _STATUS = (8 * number for number in range(11, 19))
_NOTES_WORDS = 40               # the last ones: room for a status
_FUNCTIONS = ("MPI_Isend", "MPI_Irecv", "MPI_Test", "MPI_Cancel")
# and of a place for a note
_NBYTES, _REQUEST = 8 * WORDS, 8 * WORDS
_PLACE_WORDS = 16

_call1, _call3, _call7 = map(c_caller, (1, 3, 7))
_kept = []                      # what MPI may still write to


@kernel
def note_post(notes, node, letter):
    """Send WORDS words from the address `letter` on to a node's first rank; False when there is no room now, or MPI refuses it."""
    if not notes_have_room(notes, 1):
        return False
    place = _out(notes, atomics.load(notes + _SENT))
    atomics.copy(place, letter, _NBYTES)
    rank = atomics.load(atomics.load(notes + _RANKS) + 8 * node)
    if _call7(atomics.load(notes + _ISEND), (place, _NBYTES, atomics.load(notes + _BYTE), rank, _TAG, atomics.load(notes + _COMM), place + _REQUEST)) != 0:
        atomics.store(notes + _BROKEN, 1)
        return False
    atomics.store(notes + _SENT, atomics.load(notes + _SENT) + 1)
    return True


@kernel
def notes_have_room(notes, count):
    """True when so many can be sent now."""
    if atomics.load(notes + _BROKEN) or count > atomics.load(notes + _ROOM):
        return False
    while atomics.load(notes + _SENT) + count - atomics.load(notes + _LEFT) > atomics.load(notes + _ROOM):
        if not _has_left(notes):
            return False
    return True


@kernel
def notes_are_over(notes):
    """True once MPI has refused something: nothing is sent or taken any more."""
    return atomics.load(notes + _BROKEN) != 0


@kernel
def note_look(notes):
    """Address of the oldest note that has come, 0 when there is none; MPI moves what others ask of this process meanwhile. It stays until `note_drop`."""
    place = _in(notes, atomics.load(notes + _TAKEN))
    if atomics.load(notes + _HERE) == 0:
        if atomics.load(notes + _POSTED) == atomics.load(notes + _TAKEN):
            _await_one(notes)
        if atomics.load(notes + _BROKEN):
            return 0
        if not _is_done(notes, place):
            _tidy(notes)
            return 0
        atomics.store(notes + _HERE, 1)
    return place


@kernel
def note_drop(notes):
    """Done with the note that `note_look` gave."""
    atomics.store(notes + _HERE, 0)
    atomics.store(notes + _TAKEN, atomics.load(notes + _TAKEN) + 1)


@kernel
def _tidy(notes):
    """What would hold up who sends or has got a note is done where nobody has anything to do."""
    if atomics.load(notes + _POSTED) < atomics.load(notes + _TAKEN) + _TAKING:
        _await_one(notes)
    if atomics.load(notes + _LEFT) < atomics.load(notes + _SENT):
        _has_left(notes)


@kernel
def _has_left(notes):
    """True when the place of the oldest note that was sent is free now."""
    left = _is_done(notes, _out(notes, atomics.load(notes + _LEFT)))
    if left:
        atomics.store(notes + _LEFT, atomics.load(notes + _LEFT) + 1)
    return left


@kernel
def _await_one(notes):
    place = _in(notes, atomics.load(notes + _POSTED))
    atomics.store(notes + _POSTED, atomics.load(notes + _POSTED) + 1)
    code = _call7(atomics.load(notes + _IRECV), (place, _NBYTES, atomics.load(notes + _BYTE), atomics.load(notes + _SOURCE), _TAG, atomics.load(notes + _COMM),
                                                 place + _REQUEST))
    if code != 0:
        atomics.store(notes + _BROKEN, 1)


@kernel
def _is_done(notes, place):
    if _call3(atomics.load(notes + _TEST), (place + _REQUEST, notes + _FLAG, notes + _STATUS)) != 0:
        atomics.store(notes + _BROKEN, 1)       # a rank has died: who sends finds another way
        return False
    return atomics.load(notes + _FLAG) & 0xFFFFFFFF != 0


@kernel
def _in(notes, number):
    return atomics.load(notes + _IN) + number % _TAKING * 8 * _PLACE_WORDS


@kernel
def _out(notes, number):
    return atomics.load(notes + _OUT) + number % atomics.load(notes + _ROOM) * 8 * _PLACE_WORDS


@kernel
def _begin(notes):
    for _ in range(_TAKING):
        _await_one(notes)


@kernel
def _end(notes):
    """Call the receives off; False when one of them isn't over."""
    if atomics.load(notes + _BROKEN):
        return False
    for number in range(atomics.load(notes + _TAKEN) + atomics.load(notes + _HERE), atomics.load(notes + _POSTED)):
        place = _in(notes, number)
        if _call1(atomics.load(notes + _CANCEL), (place + _REQUEST,)) != 0:
            return False
        for turn in range(_PATIENCE):
            if _is_done(notes, place):
                break
            atomics.yield_core()
        if atomics.load(notes + _FLAG) & 0xFFFFFFFF == 0:
            return False
    return notes_have_room(notes, atomics.load(notes + _ROOM))


class Notes:
    """Of a node's first rank, over a RemoteWindow with `calls`. Local. `address`: of the words for kernels, 0 where MPI can't be called from them."""

    def __init__(self, window):
        self.address, found = 0, _handles(window)
        if found is None:
            return
        nodes = window.nodes
        room = max(_SENDING, 2 * nodes)
        self._words, self._in, self._out = (np.zeros(count, np.int64) for count in (_NOTES_WORDS, _TAKING * _PLACE_WORDS, room * _PLACE_WORDS))
        self._ranks = np.array([window.rank(node) for node in range(nodes)], np.int64)
        for place, word in enumerate((*found, self._in.ctypes.data, self._out.ctypes.data, room, self._ranks.ctypes.data)):
            self._words[place] = ctypes.c_int64(word).value
        self.address = self._words.ctypes.data
        _kept.append(self)              # until `close`: without it MPI writes to where a note came, as long as the process lives
        _begin(self.address)

    def take(self):
        """The oldest note, a list of WORDS integers, or None; it is dropped."""
        place = note_look(self.address) if self.address else 0
        if not place:
            return None
        words = [atomics.load(place + 8 * number) for number in range(WORDS)]
        note_drop(self.address)
        return words

    def close(self):
        """When nobody sends any more. Idempotent."""
        if self.address and _end(self.address):
            _kept.remove(self)
        self.address = 0


def _handles(window):
    """Addresses of MPI's functions and its handles, in the order of the words; None where they aren't found."""
    if window.calls is None or config.DISABLE_JIT:
        return None
    from mpi4py import MPI
    try:
        library = ctypes.CDLL(MPI.__file__)
        addresses = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _FUNCTIONS]
    except (OSError, AttributeError):
        return None
    return (*addresses, MPI._handleof(MPI.BYTE), MPI._handleof(window.comm), MPI.ANY_SOURCE)
