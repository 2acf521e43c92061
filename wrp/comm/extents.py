"""The free space of one device: a sorted table of free runs in a segment, without MPI, locks or the device itself.

The caller holds a Token, or is the only one who changes the table. Runs never touch each other: neighbours are joined.
"""
from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import OutOfSpace, UsageError, WrpError

# Word offsets (bytes) of the table's header
_CAPACITY = 0       # most runs it takes
_COUNT = 8          # runs in it
_FREE = 16          # sum of their bytes
_SIZE = 24          # bytes of the device
_RUNS = 64          # runs of two words, by offset: offset, nbytes
_RUN = 16

NO_ROOM, NOT_TAKEN, TABLE_FULL, OUTSIDE = -1, -2, -3, -4
DEFAULT_RUNS = 65536


@kernel
def extents_format(address, device_nbytes, capacity):
    """Make a table at `address` in which all of the device's bytes are free."""
    atomics.store(address + _CAPACITY, capacity)
    atomics.store(address + _FREE, device_nbytes)
    atomics.store(address + _SIZE, device_nbytes)
    atomics.store(address + _RUNS, 0)
    atomics.store(address + _RUNS + 8, device_nbytes)
    atomics.store(address + _COUNT, 1 if device_nbytes > 0 else 0)


@kernel
def extents_free(address):
    """The free bytes of the device."""
    return atomics.load(address + _FREE)


@kernel
def extents_count(address):
    """How many free runs there are."""
    return atomics.load(address + _COUNT)


@kernel
def _offset_of(address, number):
    return atomics.load(address + _RUNS + number * _RUN)


@kernel
def _nbytes_of(address, number):
    return atomics.load(address + _RUNS + number * _RUN + 8)


@kernel
def _set_run(address, number, offset, nbytes):
    atomics.store(address + _RUNS + number * _RUN, offset)
    atomics.store(address + _RUNS + number * _RUN + 8, nbytes)


@kernel
def _open_gap(address, number):
    """Shift the runs from `number` on up by one."""
    count = atomics.load(address + _COUNT)
    for run in range(count, number, -1):
        _set_run(address, run, _offset_of(address, run - 1), _nbytes_of(address, run - 1))
    atomics.store(address + _COUNT, count + 1)


@kernel
def _close_gap(address, number):
    """Shift the runs after `number` down by one."""
    count = atomics.load(address + _COUNT) - 1
    for run in range(number, count):
        _set_run(address, run, _offset_of(address, run + 1), _nbytes_of(address, run + 1))
    atomics.store(address + _COUNT, count)


@kernel
def _first_after(address, offset):
    """The number of the first run that begins after `offset` (the count of runs if none does)."""
    low, high = 0, atomics.load(address + _COUNT)
    while low < high:
        middle = (low + high) // 2
        if _offset_of(address, middle) > offset:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _cut(address, number, offset, nbytes):
    """Take a range out of run `number`, which holds it: 0, or TABLE_FULL if that would make one run too many."""
    start, end = _offset_of(address, number), _offset_of(address, number) + _nbytes_of(address, number)
    before, after = offset - start, end - (offset + nbytes)
    if before > 0 and after > 0:
        if atomics.load(address + _COUNT) >= atomics.load(address + _CAPACITY):
            return TABLE_FULL
        _open_gap(address, number + 1)
        _set_run(address, number, start, before)
        _set_run(address, number + 1, offset + nbytes, after)
    elif before > 0:
        _set_run(address, number, start, before)
    elif after > 0:
        _set_run(address, number, offset + nbytes, after)
    else:
        _close_gap(address, number)
    atomics.add(address + _FREE, -nbytes)
    return 0


@kernel
def extents_take_run(address, least, most, align, begin):
    """Take between `least` and `most` free bytes at a multiple of `align` from the first run at or behind `begin` that has so many, else
    from the lowest one.

    (offset, bytes taken), or (-1, 0) if no run has room. The lowest, not the next one: what was used before has its pages
    already, and first touch is the slowest thing memory does.
    """
    count = atomics.load(address + _COUNT)
    if least <= 0 or align <= 0 or count == 0:
        return NO_ROOM, 0
    first = max(_first_after(address, begin) - 1, 0)
    for turn in range(count + 1):
        number = (first + turn) % count
        start = _offset_of(address, number)
        end = start + _nbytes_of(address, number)
        if turn == 0:
            start = max(start, begin)
        offset = (start + align - 1) // align * align
        if end - offset >= least:
            nbytes = min(end - offset, most) if most > least else least
            if _cut(address, number, offset, nbytes) == 0:
                return offset, nbytes
    return NO_ROOM, 0


@kernel
def extents_take(address, nbytes, align=1):
    """Take `nbytes` free bytes at a multiple of `align`: their offset, or -1 if no run has room."""
    return extents_take_run(address, nbytes, nbytes, align, 0)[0]


@kernel
def extents_claim(address, offset, nbytes):
    """Take exactly these bytes: 0, -2 if they aren't all free, -3 if the table is full, -4 if they lie outside."""
    if nbytes <= 0 or offset < 0 or nbytes > atomics.load(address + _SIZE) - offset:
        return OUTSIDE
    number = _first_after(address, offset) - 1
    if number < 0 or nbytes > _offset_of(address, number) + _nbytes_of(address, number) - offset:
        return NOT_TAKEN
    return _cut(address, number, offset, nbytes)


@kernel
def extents_give(address, offset, nbytes):
    """Give bytes back: 0, -2 if some are free already, -3 if the table is full, -4 if they lie outside the device."""
    if nbytes <= 0 or offset < 0 or nbytes > atomics.load(address + _SIZE) - offset:
        return OUTSIDE
    count = atomics.load(address + _COUNT)
    number = _first_after(address, offset)
    start, end = offset, offset + nbytes
    before_end = -1 if number == 0 else _offset_of(address, number - 1) + _nbytes_of(address, number - 1)
    after_start = -1 if number == count else _offset_of(address, number)
    if before_end > start or (after_start >= 0 and after_start < end):
        return NOT_TAKEN
    if before_end == start and after_start == end:
        start = _offset_of(address, number - 1)
        end += _nbytes_of(address, number)
        _close_gap(address, number)
        number -= 1
    elif before_end == start:
        number -= 1
        start = _offset_of(address, number)
    elif after_start == end:
        end += _nbytes_of(address, number)
    else:
        if count >= atomics.load(address + _CAPACITY):
            return TABLE_FULL
        _open_gap(address, number)
    _set_run(address, number, start, end - start)
    atomics.add(address + _FREE, nbytes)
    return 0


@kernel
def extents_take_tail(address):
    """Take the free run at the end of the device, where there is one: the offset that it begins with, else the device's end."""
    count, size = atomics.load(address + _COUNT), atomics.load(address + _SIZE)
    if count == 0 or _offset_of(address, count - 1) + _nbytes_of(address, count - 1) < size:
        return size
    start = _offset_of(address, count - 1)
    _cut(address, count - 1, start, size - start)
    return start


@kernel
def extents_resize(address, start, nbytes):
    """Let the device have so many bytes, all of them free from `start` on, which `extents_take_tail` gave. As `extents_give`."""
    atomics.store(address + _SIZE, nbytes)
    return extents_give(address, start, nbytes - start) if nbytes > start else 0


class Extents:
    """The table at an address; its methods raise where the kernels return a code."""

    def __init__(self, address):
        self.address = address

    @staticmethod
    def nbytes(runs=DEFAULT_RUNS):
        """The bytes that a table for `runs` free runs takes."""
        return _RUNS + runs * _RUN

    @classmethod
    def create(cls, segment, offset, device_nbytes, runs=DEFAULT_RUNS):
        """Make a table at `offset` of the segment for an empty device of `device_nbytes`; backs its memory."""
        segment.reserve(offset, cls.nbytes(runs))
        extents_format(segment.address + offset, device_nbytes, runs)
        return cls(segment.address + offset)

    @classmethod
    def attach(cls, segment, offset):
        """The table that lies at `offset` already."""
        return cls(segment.address + offset)

    @property
    def free(self):
        """Free bytes."""
        return extents_free(self.address)

    def runs(self):
        """The free runs as a list of (offset, nbytes), by offset."""
        return [(_offset_of(self.address, number), _nbytes_of(self.address, number))
                for number in range(extents_count(self.address))]

    def take(self, nbytes, align=1):
        """The offset of `nbytes` free bytes at a multiple of `align`, now taken; OutOfSpace if no run has room."""
        if nbytes <= 0 or align <= 0:
            raise UsageError(f"An extent needs a positive size and alignment, not {nbytes} and {align}.")
        offset = extents_take(self.address, nbytes, align)
        if offset < 0:
            raise OutOfSpace(f"No free run of {nbytes} bytes: {self.free} bytes are free in "
                             f"{extents_count(self.address)} runs; delete blobs or give the device more room.")
        return offset

    def claim(self, offset, nbytes):
        """Take exactly these bytes; WrpError if some of them are taken or lie outside."""
        self._check(extents_claim(self.address, offset, nbytes), "take", offset, nbytes, "not all free")

    def give(self, offset, nbytes):
        """Give these bytes back; WrpError if some of them are free already or lie outside."""
        self._check(extents_give(self.address, offset, nbytes), "give back", offset, nbytes, "partly free already")

    def _check(self, code, verb, offset, nbytes, reason):
        where = f"Cannot {verb} bytes {offset} to {offset + nbytes} of the device"
        if code == NOT_TAKEN:
            raise WrpError(f"{where}: they are {reason}.")
        if code == OUTSIDE:
            raise WrpError(f"{where}: they lie outside it.")
        if code == TABLE_FULL:
            raise OutOfSpace(f"{where}: the table of free runs is full ({extents_count(self.address)} runs).")
