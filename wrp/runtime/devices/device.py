"""Device: the contract of all devices, and the leasing they share. Where the bytes lie is in ram.py, file.py, gpu.py and noop.py."""

from collections import deque

import numpy as np

from wrp.comm import atomics, jit
from wrp.comm.extents import extents_claim, extents_free, extents_give
from wrp.comm.refusals import let_out
from wrp.comm.sizes import format_size, whole
from wrp.comm.turn import Turn
from wrp.errors import OutOfSpace, UsageError, WrpError
from wrp.runtime import bdev
from wrp.runtime.devices.portions import Portions
from wrp.runtime.devices.runs import Leases
from wrp.runtime.devices.spec import noted

TABLE_RUNS = 16384              # most free runs of a device
_SHARES = 8                     # a lease in bulk is at most this part of a rank's part of the device
_AHEAD = 512 << 20              # at most so much of what a process expects to need is leased, and backed, at once
_PART = 4                       # a gap of this part of the usual lease is taken rather than fresh space
_WHOLE_KEPT = 1                 # leases without a byte in use that a process keeps
_NOTHING = 0, 0


class Device:
    """Space and bytes of one device of the node, shared by its ranks. Offsets and sizes in bytes; any thread may use it.

    Attributes: name, kind ("ram", "file", "gpu" or "noop"), capacity, descriptor and direct (of the file, the second past the page
    cache; -1), facts (what was said of it when it was made: see `spec.noted`), used_at (address of the number of bytes that are leased). Calls are local.
    """

    kind = None
    align = None                # leases begin at multiples of it
    first, unit = None, None    # bytes leased from the node at once: at first, doubling until at most
    begin = 0                   # free space is looked for from here on, then anywhere
    descriptor = direct = -1
    title = None                # what its user calls it, for messages: "target 'ram::a'"

    def __init__(self, node, pool, name):
        self.name = name
        self._node, self._pool = node, pool
        params = pool._slot.params
        self.capacity = atomics.load(params + bdev.CAPACITY)
        self.align = atomics.load(params + bdev.ALIGN)
        self._extents = node.address + atomics.load(params + bdev.EXTENTS)
        self.facts = noted(self._extents - bdev.FACTS_NBYTES)
        self.used_at = self._extents - bdev.FACTS_NBYTES + bdev.USED
        # a power of two, so that the pieces of the store fill it
        share = 1 << (self.capacity // (_SHARES * node.ranks.size)).bit_length() >> 1
        self._most = max(self.align, min(self.unit, share))
        self._unit = min(self.first, self._most)
        self._expected, self._own_part = None, self.capacity // node.ranks.size
        self._leases, self._spare = Leases(), _NOTHING
        self._late = deque()            # (offset, nbytes, bytes of them that count as leased, or below 0: did), free when somebody has the lock next
        self._portions = Portions(pool, self._late)
        self._add, self._load, self._free = jit.direct(atomics.add, 2), jit.direct(atomics.load, 1), jit.direct(extents_free, 1)
        self._lock, self._space = Turn(), f"the space of device {self.name!r}"
        self.is_open = True

    @property
    def free(self):
        """Bytes that this process could still lease."""
        self._check_open()
        if self._late:
            self._settle()
        return self._free(self._extents) + self._leases.free + self._spare[1]

    @property
    def is_own(self):
        """True when this thread is in the middle of a lease, or of another call that the others wait for."""
        return self._lock._is_owned()

    def has_room(self, nbytes):
        """False when a lease of so many bytes would be refused now; True when it might not. Cheaper than a refusal."""
        return self.free >= nbytes

    @property
    def remaining(self):
        """Bytes that no process of the node has leased."""
        self._check_open()
        if self._late:
            self._settle()
        return self.capacity - self._load(self.used_at)

    def lease(self, nbytes):
        """Offset of nbytes, backed by memory or storage, that nobody else has. Raises OutOfSpace; nothing has changed then."""
        self._check_open()
        size = self._rounded(nbytes)
        if size <= 0:
            raise UsageError(f"a lease of {nbytes} bytes of device {self.name!r}: ask for at least one")
        offset = -1
        try:
            with self._lock.of(self._space):
                if self._late:
                    self._reclaimed()
                offset = self._leased(size)
                self._add(self.used_at, size)
        except BaseException:
            if offset >= 0:
                self.give_back(offset, size)
            raise
        return offset

    def _leased(self, size):
        # what finds it is the last that is called: an error of a signal's handler comes before, or to who has it
        if self._spare[1] == size:
            (offset, _), self._spare = self._spare, _NOTHING
        elif (offset := self._leases.take(size)) < 0:
            offset = self._lease_more(size)
        return offset

    def lease_some(self, nbytes, count):
        """Offsets, as a range, of room for the first of `count` pieces of nbytes: of at least one of them, and one behind the other. As `lease`."""
        self._check_open()
        size, fitting, offset = self._rounded(nbytes), count, -1
        try:
            with self._lock.of(self._space):
                while fitting > 1 and (offset := self._leases.take(fitting * size)) < 0:
                    fitting //= 2
                if offset < 0:
                    fitting = 1
                    offset = self._leased(size)
                self._add(self.used_at, fitting * size)
            found = range(offset, offset + fitting * size, size)
        except BaseException:
            if offset >= 0:
                self.give_back(offset, fitting * size)
            raise
        return found

    def expect(self, nbytes):
        """The process is about to lease so many bytes: it asks the node for many of them at once, and for few more. 0: it can't tell
        any more. Promises nothing."""
        self._check_open()
        with self._lock.of(self._space):
            if nbytes > self._leases.free:
                self._drain()       # joined with their neighbours, what is left of earlier leases is good for large pieces again
            self._expected = min(self._rounded(nbytes), self._own_part) or None

    def _lease_more(self, size):
        """Lease from the node: a good part of a unit, or of what is expected, else, when that doesn't fit, just this."""
        if self._reclaimed() and (offset := self._leases.take(size)) >= 0:
            return offset
        if not self.has_room(size):
            raise self._full(size, None)
        refusal, usual = None, self._unit
        if self._expected is not None:
            usual = max(min(self.first, self._most), min(self._expected, _AHEAD))
        pieces = max(size, usual - usual % size)        # a lease of whole ones: what is left of it would take none of their length
        for least, most in ((max(size, min(usual, self._unit) // _PART), pieces), (size, size)):
            try:
                if self._add_lease(least, most, size):
                    self._unit = min(2 * self._unit, self._most)
                    return self._leases.take(size)
            except OutOfSpace as error:
                let_out(error)
                refusal = error
        offset = self._leases.take(size, thorough=True)
        if offset >= 0:
            return offset
        # pieces of several leases may be neighbours: they join in the node's table
        if refusal is None and self._leases.free:
            self._drain()
            if self._add_lease(size, size, size):
                return self._leases.take(size)
        raise self._full(size, refusal)

    def _add_lease(self, least, most, size):
        """Lease a run of the node's free space for pieces of `size`; False when there is none. Raises OutOfSpace when it can't be backed."""
        held = []                       # runs that are in no lease
        try:
            code = self._portions.take(least, most, self.begin, held)
            if code == bdev.NO_SPACE:
                return False
            self._check(code, "lease space")
            (run, nbytes), = held
            self._back(run, nbytes)
            # several leases of a usual length: what isn't in use any more goes back to the node by whole leases
            step = max(1, self._most // size) * size
            parts = [(run + start, min(step, nbytes - start)) for start in range(0, nbytes, step)]
            held[:] = parts[::-1]
            while held:
                self._leases.add(*held[-1], held)
        except BaseException:
            self._late.extend([(*each, 0) for each in held])
            self._reclaimed()
            raise
        if self._expected is not None:
            self._expected -= nbytes
        return True

    def _full(self, size, refusal):
        free = self.free
        reason = str(refusal) if refusal else f"{format_size(free)} of it are free" + (", in pieces that are too small" if free >= size else "")
        error = OutOfSpace(f"{self.kind} {self.title or f'device {self.name!r}'} of {format_size(self.capacity)} has no room for {format_size(size)}: {reason}")
        error.__cause__ = refusal
        return error

    def _drain(self):
        self._reclaimed()
        self._leases.drain(self._late)
        self._reclaimed()

    def give_back(self, offset, nbytes, held=()):
        """Make leased bytes free. Raises WrpError, changing nothing, when some of them are free already.

        held : a list whose last goes when they are on their way: whatever a handler of a signal raises after that, they are free with the next lease
        Never refused: what a handler of a signal gives back in the middle of a lease is free after that.
        """
        self._check_open()
        size = self._given(offset, nbytes)
        late = (offset, size, size),
        # no calls in between
        if held:
            del held[-1]
        if size <= 0:
            return
        self._late += late
        self._settle()

    def _given(self, offset, nbytes):
        """Bytes that a lease of so many has; of one of a time when the device had more room those that never were in the free space of this one aren't counted."""
        size = self._rounded(nbytes)
        return size if offset + size <= self.capacity else self.capacity - offset

    def swap_back(self, offset, nbytes, held=()):
        """The same of bytes that were replaced, after which as many are leased mostly: the next lease of so many has them, sooner.

        Whether they are free already is seen when something else is leased or given back.
        """
        self._check_open()
        size = self._rounded(nbytes)
        if offset + size > self.capacity or self._lock._is_owned():
            self.give_back(offset, nbytes, held)
            return
        with self._lock:
            self._reclaimed()
            # no calls until the last one
            if held:
                del held[-1]
            self._spare = offset, size
            self._add(self.used_at, -size)

    def _settle(self):
        """What was given back is free, unless this thread is in the middle of a lease: after that, then."""
        if not self._lock._is_owned():
            with self._lock:
                self._reclaimed()

    def _reclaimed(self):
        """What was swapped back, or given back late, is free as all else: True when there was such a run. With the lock."""
        self._portions.collect()
        late, (offset, size) = self._late, self._spare
        if size > 0:
            spare = (offset, size, -size),
            self._spare = _NOTHING
            late += spare
        found = len(late) > 0
        while late:
            self._free_first(late)
        return found

    def _free_first(self, late):
        """Make the first of `late` free, which goes from there at that moment: a handler of a signal may raise an error before, or after. With the lock."""
        offset, size, counted = late[0]
        if counted > 0:
            late[0] = offset, size, -counted
            self._add(self.used_at, -counted)
        done = self._leases.give(offset, size, late)
        if done is None:
            done = self._free_run(offset, size, late)
        elif not done:
            del late[0]
        elif self._leases.whole > _WHOLE_KEPT:
            self._return_whole()
        if not done:
            self._add(self.used_at, abs(counted))
            raise WrpError(f"bytes {offset} to {offset + size} of device {self.name!r} can't be given back: some of them are free already")

    def _return_whole(self):
        """Give a run back of which this process has every byte, and uses none."""
        self._leases.pop_whole(self._late)

    def _free_run(self, offset, nbytes, late):
        """Give a run, the first of `late`, back to the node. False where some of it is free already."""
        code = self._portions.give(offset, nbytes, late)
        if code == bdev.TABLE_FULL and self.is_open:
            # the node's table has no room for another gap: keep the run for this process
            self._leases.add(offset, nbytes)
        elif code not in (bdev.TABLE_FULL, bdev.NOT_TAKEN):
            self._check(code, "give space back")
        return code != bdev.NOT_TAKEN

    def claim(self, runs):
        """Take runs, int64 array (n, 2) of (offset, nbytes), out of the free space. Once on a node, before any lease.

        Runs may touch and be in any order; what lies beyond the capacity is left out. Raises WrpError when something is leased.
        """
        self._check_open()
        if not len(runs):
            return
        gaps = self._gaps(np.asarray(runs, np.int64).reshape(-1, 2))
        if extents_free(self._extents) != self.capacity or extents_claim(self._extents, 0, self.capacity):
            raise WrpError(f"device {self.name!r} can't take over runs in use: some of its space is leased already")
        atomics.store(self.used_at, self.capacity - int(gaps[:, 1].sum()))
        for offset, nbytes in gaps.tolist():
            extents_give(self._extents, offset, nbytes)

    def _gaps(self, runs):
        """The free runs between these, as an array (n, 2); the largest ones when the table can't hold all."""
        starts = runs[:, 0] // self.align * self.align
        ends = -(-(runs[:, 0] + runs[:, 1]) // self.align) * self.align
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], np.maximum.accumulate(ends[order])
        begins = np.minimum(np.concatenate([[0], ends]), self.capacity)
        sizes = np.minimum(np.concatenate([starts, [self.capacity]]), self.capacity) - begins
        gaps = np.stack([begins, sizes], axis=1)[sizes > 0]
        if len(gaps) > TABLE_RUNS // 2:
            gaps = gaps[np.sort(np.argsort(gaps[:, 1], kind="stable")[-TABLE_RUNS // 2:])]
        return gaps

    def sync(self):
        """What was written is on storage when it returns; nothing to do for ram."""

    def close(self):
        """Give this process's leases back to the node. Idempotent. Refused, with nothing done, to a handler of a signal that came in the middle of a lease."""
        if not self.is_open:
            return
        with self._lock.of(self._space):
            self.is_open = False
            self._drain()

    def _back(self, offset, nbytes):
        """Back the bytes, or raise OutOfSpace."""
        raise NotImplementedError

    def _rounded(self, nbytes):
        if type(nbytes) is not int:
            nbytes = whole(nbytes, f"the size of a lease of device {self.name!r}:")
        return -(-nbytes // self.align) * self.align

    def _check_open(self):
        if not self._node.is_open or not self.is_open:
            self._node.check_open()
            raise UsageError(f"device {self.name!r} was closed")

    def _check(self, code, what):
        if code:
            raise WrpError(f"device {self.name!r} can't {what}: its pool answers {code}")

    def _check_range(self, offset, nbytes):
        self._check_open()
        if offset < 0 or offset + nbytes > self.capacity:
            raise UsageError(f"bytes {offset} to {offset + nbytes} lie outside device {self.name!r} of {self.capacity} bytes")

    def __repr__(self):
        return f"<{self.kind} device {self.name!r} of {format_size(self.capacity)}>"
