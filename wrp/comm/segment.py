"""A segment: one run of shared memory of a node, with a header that names its regions.

Its memory comes from an anonymous mapping that forked children share (`private`), from one that is this process's alone (`alone`),
from a named file in the user's folder of shared memory (`named`), or from an MPI shared-memory window (`window.allocate`). All of them begin
as zeros that no page backs: `reserve` a region before writing to it, or a full /dev/shm ends the process.
"""
import os
from contextlib import contextmanager

from wrp.comm import atomics, mapping, names, reserve
from wrp.comm.checksum import hash64
from wrp.comm.jit import kernel
from wrp.comm.lock import Token
from wrp.errors import OutOfSpace, StoreError, StoreVersion, UsageError

MAGIC = 0x5752505345474D54          # "WRPSEGMT"
VERSION = 1

# Byte offsets of the header's words
_MAGIC = 0          # written last
_VERSION = 8
_NBYTES = 16
_NEXT = 24          # offset of the first byte that no region has
_COUNT = 32         # regions in the directory
_TOKEN = 64         # held while a region is placed
_DIRECTORY = 128    # entries of four words: hash of the name, offset, nbytes, 0
_ENTRY = 32
_ENTRIES = 256
HEADER_NBYTES = 12288               # the header's bytes rounded up to pages

_PLACE_TIMEOUT_S = 300.0


@kernel
def _find_entry(address, name_hash):
    """The address of the directory's entry for a name, or 0."""
    for number in range(atomics.load(address + _COUNT)):
        entry = address + _DIRECTORY + number * _ENTRY
        if atomics.load(entry) == name_hash:
            return entry
    return 0


class Segment:
    """Shared memory at `address` (int), `nbytes` long, as the writable memoryview `buffer`. Use it with `with`."""

    def __init__(self, buffer, address, owner=None, create=True):
        """A segment in any writable memory: format its header (the memory must be zero), or attach to the one there.

        `owner` keeps the memory: its `close()` is called by this object's `close`; its attribute `fd`, where it has one
        that isn't None, is the descriptor of the file that `buffer` maps from its beginning.
        """
        self.buffer = memoryview(buffer).cast("B")
        self.address = address
        self.nbytes = self.buffer.nbytes
        self._owner = owner
        self._fd = getattr(owner, "fd", None)
        self._token = Token(address + _TOKEN, "the directory of the segment")
        self._format() if create else self._check()

    @classmethod
    def private(cls, nbytes):
        """A segment for this process and the children that it forks."""
        _check_nbytes(nbytes)
        return cls._of(mapping.Mapping(nbytes), create=True)

    @classmethod
    def alone(cls, nbytes):
        """A segment for this process and nobody else: a child that it forks has a copy of what lies there at that moment."""
        _check_nbytes(nbytes)
        return cls._of(mapping.Mapping(nbytes, alone=True), create=True)

    @classmethod
    def named(cls, name, nbytes=None, create=False):
        """The segment `name` of this user on this node: make it, or attach to it.

        Who makes it also removes the name in `close`. With `create`, StoreBusy if another process holds one of that name
        (one whose maker died is replaced). Else StoreError if there is none or it has fewer than `nbytes` bytes,
        StoreVersion if another version of wrp made it.
        """
        path = names.path(name)
        if not create:
            return cls._of(mapping.attach(path, nbytes), create=False)
        _check_nbytes(nbytes)
        return cls._of(mapping.create(path, nbytes, _format_mapping), create=False)

    @classmethod
    def _of(cls, owner, create):
        try:
            return cls(owner.memory, owner.address, owner, create)
        except BaseException:
            owner.close()
            raise

    def _format(self):
        _check_nbytes(self.nbytes)
        self.reserve(0, HEADER_NBYTES)
        for offset, word in ((_VERSION, VERSION), (_NBYTES, self.nbytes), (_NEXT, HEADER_NBYTES), (_COUNT, 0)):
            atomics.store(self.address + offset, word)
        atomics.store(self.address + _MAGIC, MAGIC)

    def _check(self):
        if self.nbytes < HEADER_NBYTES or atomics.load(self.address + _MAGIC) != MAGIC:
            raise StoreError("This memory isn't a segment of wrp; remove it, or give another name.")
        version, nbytes = (atomics.load(self.address + offset) for offset in (_VERSION, _NBYTES))
        if version != VERSION:
            raise StoreVersion(f"The segment has layout {version}, this wrp has layout {VERSION}: end the program that made "
                               "it, or use the same version of wrp.")
        if nbytes != self.nbytes:
            raise StoreError(f"The segment says that it has {nbytes} bytes but {self.nbytes} are mapped; remove it.")

    def is_named(self, name):
        """True while `name` is that of this very segment, not gone nor another's by now. Of a named one only."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(names.path(name)))
        except FileNotFoundError:
            return False

    def find(self, name):
        """(offset, nbytes) of the region `name`, or None."""
        entry = _find_entry(self.address, hash64(name.encode()))
        return (atomics.load(entry + 8), atomics.load(entry + 16)) if entry else None

    @property
    def room(self):
        """Bytes that no region has."""
        return self.nbytes - atomics.load(self.address + _NEXT)

    def place(self, name, nbytes, align=64):
        """(offset, created) of the region `name`: the first caller's call makes it. Its bytes are zero and not reserved.

        Any processes of the node may call it at once. Where others must not see the region before it is initialised,
        use `placing`. UsageError if it is there with another size, OutOfSpace if the segment has no room.
        """
        with self.placing(name, nbytes, align) as placed:
            return placed

    @contextmanager
    def placing(self, name, nbytes, align=64):
        """As `place`, in a `with` block for (offset, created); others get the region only after the block.

        If the block raises, the name stays free. Place no second region inside.
        """
        with self._token.held(f"the directory of the segment (to place {name!r})", _PLACE_TIMEOUT_S):
            found = self.find(name)
            if found:
                self._check_same(name, nbytes, found)
                yield found[0], False
            else:
                offset = self._cut(name, nbytes, align)
                yield offset, True
                self._publish(name, offset, nbytes)

    def reserve(self, offset, nbytes):
        """Back the pages of a range with memory, or raise OutOfSpace. What lies in them stays."""
        if offset < 0 or nbytes < 0 or offset + nbytes > self.nbytes:
            raise UsageError(f"Bytes {offset} to {offset + nbytes} lie outside the segment of {self.nbytes} bytes.")
        reserve.reserve(self.address + offset, nbytes, self._fd, offset)

    def hide(self):
        """Of a named segment that this process made: remove its name before `close`, for a process that may be killed any moment."""
        owner = self._owner             # None when a signal comes while it is closed
        if owner is not None:
            owner.hide()

    def close(self, is_used=False):
        """Let go of the memory; may be called again. Views that others still hold keep the mapping until they go; where it `is_used`, it stays until
        the process ends.
        """
        owner, self._owner = self._owner, None
        if self.buffer is not None:
            mapping.close_quietly(self.buffer.release)
            self.buffer = None
        if owner is not None:
            owner.close(is_used)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _check_same(self, name, nbytes, found):
        if found[1] != nbytes:
            raise UsageError(f"The region {name!r} of the segment has {found[1]} bytes, not {nbytes}.")

    def _cut(self, name, nbytes, align):
        """Take `nbytes` at a multiple of `align` off the unused end. Bytes are never handed out twice."""
        offset = -(-atomics.load(self.address + _NEXT) // align) * align
        if nbytes < 0 or offset + nbytes > self.nbytes:
            raise OutOfSpace(f"The segment of {self.nbytes} bytes has no room for {name!r} with {nbytes} bytes; "
                             "make it larger.")
        if atomics.load(self.address + _COUNT) == _ENTRIES:
            raise OutOfSpace(f"The segment has {_ENTRIES} regions already; there is no entry for {name!r}.")
        atomics.store(self.address + _NEXT, offset + nbytes)
        return offset

    def _publish(self, name, offset, nbytes):
        count = atomics.load(self.address + _COUNT)
        entry = self.address + _DIRECTORY + count * _ENTRY
        for place, word in ((0, hash64(name.encode())), (8, offset), (16, nbytes)):
            atomics.store(entry + place, word)
        atomics.store(self.address + _COUNT, count + 1)     # last: readers of the directory take no token


def _format_mapping(owner):
    """Write the header of a mapping that has no name yet."""
    segment = Segment(owner.memory, owner.address, create=True)
    segment.close()


def _check_nbytes(nbytes):
    if nbytes < HEADER_NBYTES + reserve.PAGE:
        raise UsageError(f"A segment needs at least {HEADER_NBYTES + reserve.PAGE} bytes, not {nbytes}.")
