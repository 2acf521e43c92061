"""Runs and Leases: what a process has leased of a device and how it divides it. Pure bookkeeping, without tasks or threads."""

from bisect import bisect_left, bisect_right

_NEWEST = 32                    # leases looked at first


class Runs:
    """Free runs inside one lease, sorted, neighbours joined. Offsets and sizes in bytes."""

    __slots__ = ("offset", "nbytes", "free", "_starts", "_sizes")

    def __init__(self, offset, nbytes):
        self.offset, self.nbytes, self.free = offset, nbytes, nbytes
        self._starts, self._sizes = [offset], [nbytes]

    def take(self, nbytes):
        """Offset of the first run that has room, or -1."""
        if nbytes > self.free:
            return -1
        for number, size in enumerate(self._sizes):
            if size >= nbytes:
                return self._cut(number, nbytes)
        return -1

    def _cut(self, number, nbytes):
        offset = self._starts[number]
        if self._sizes[number] == nbytes:
            del self._starts[number], self._sizes[number]
        else:
            self._starts[number] += nbytes
            self._sizes[number] -= nbytes
        self.free -= nbytes
        return offset

    def give(self, offset, nbytes):
        """True; False when some of the bytes are free already."""
        splice = self.splice(offset, nbytes)
        if splice is None:
            return False
        first, last, starts, sizes = splice
        self._starts[first:last], self._sizes[first:last] = starts, sizes
        self.free += nbytes
        return True

    def splice(self, offset, nbytes):
        """(first, last, starts, sizes): the runs from the first to the last are those once these bytes are free; None when some of them are free already."""
        starts, sizes = self._starts, self._sizes
        after = bisect_right(starts, offset)
        before_end = starts[after - 1] + sizes[after - 1] if after else -1
        if before_end > offset or after < len(starts) and starts[after] < offset + nbytes:
            return None
        first = after - (before_end == offset)
        last = after + (after < len(starts) and starts[after] == offset + nbytes)
        start = starts[first] if first < after else offset
        size = nbytes + sum(sizes[first:last])
        return first, last, [start], [size]

    def apart_from(self, offset, nbytes):
        """[Runs] of what lies before and behind these bytes, none of which is free here."""
        found = []
        for start, end in ((self.offset, offset), (offset + nbytes, self.offset + self.nbytes)):
            if start < end:
                part, inside = Runs(start, end - start), [pair for pair in self.pairs() if start <= pair[0] < end]
                part._starts, part._sizes = [pair[0] for pair in inside], [pair[1] for pair in inside]
                part.free = sum(part._sizes)
                found.append(part)
        return found

    def pairs(self):
        """List of (offset, nbytes)."""
        return list(zip(self._starts, self._sizes))

    def __lt__(self, other):
        return self.offset < other.offset


class Leases:
    """All leases of one process on one device."""

    def __init__(self):
        self._all = []                  # by offset
        self._roomy = []                # those with free bytes, the newest last
        self.free = 0
        self.whole = 0                  # leases without a byte in use

    def add(self, offset, nbytes, held=None):
        """A new lease, all free. What was of an older one there was given back by another process. The last of a list `held` goes at the same moment."""
        self._leave(offset, nbytes)
        lease = Runs(offset, nbytes)
        number = bisect_right(self._all, lease)
        # no calls from here on, between which a handler of a signal may raise an error
        self._all[number:number] = [lease]
        self._roomy += [lease]
        self.free += nbytes
        self.whole += 1
        if held is not None:
            del held[-1]

    def _leave(self, offset, nbytes):
        """No lease has any of these bytes, of which none is free."""
        first = bisect_right(self._all, offset, key=lambda lease: lease.offset)
        if first and self._all[first - 1].offset + self._all[first - 1].nbytes > offset:
            first -= 1
        last = bisect_left(self._all, offset + nbytes, key=lambda lease: lease.offset)
        left = self._all[first:last]
        if left:
            parts = [part for lease in left for part in lease.apart_from(offset, nbytes)]
            roomy = [lease for lease in self._roomy if lease not in left] + [part for part in parts if part.free]
            whole = self.whole + sum(part.free == part.nbytes for part in parts)
            self._all[first:last], self._roomy, self.whole = parts, roomy, whole

    def take(self, nbytes, thorough=False):
        """Offset of nbytes free bytes, or -1. Looks at all leases only when `thorough`: a new lease is cheaper."""
        roomy = self._roomy
        for number in range(len(roomy) - 1, -1 if thorough else max(-1, len(roomy) - 1 - _NEWEST), -1):
            lease = roomy[number]
            offset = lease.take(nbytes)
            if offset >= 0:
                self.free -= nbytes
                self.whole -= lease.free + nbytes == lease.nbytes
                if not lease.free:
                    del roomy[number]
                return offset
        return -1

    def give(self, offset, nbytes, late=None):
        """True when the bytes were of one of the leases and are free in it now, False when they were free before, None when
        they are of no lease here. The first of a deque `late` goes at the same moment, if they are free now."""
        lease = self._of(offset, nbytes)
        if lease is None:
            return None
        splice = lease.splice(offset, nbytes)
        if splice is None:
            return False
        first, last, starts, sizes = splice
        # no calls from here on
        lease._starts[first:last], lease._sizes[first:last] = starts, sizes
        lease.free += nbytes
        if lease.free == nbytes:
            self._roomy += [lease]
        self.free += nbytes
        self.whole += lease.free == lease.nbytes
        if late is not None:
            del late[0]
        return True

    def _of(self, offset, nbytes):
        number = bisect_right(self._all, offset, key=lambda lease: lease.offset)
        if number == 0:
            return None
        lease = self._all[number - 1]
        return lease if offset + nbytes <= lease.offset + lease.nbytes else None

    def pop_whole(self, late):
        """The oldest lease without a byte in use is gone from here, and in a deque `late` as (offset, nbytes, 0). Only while `whole` isn't 0."""
        place, lease = next((place, lease) for place, lease in enumerate(self._roomy) if lease.free == lease.nbytes)
        number = bisect_left(self._all, lease)
        # no calls from here on
        del self._roomy[place], self._all[number]
        self.free -= lease.nbytes
        self.whole -= 1
        late += ((lease.offset, lease.nbytes, 0),)

    def first_whole(self):
        """(offset, nbytes) of the one that `pop_whole` takes."""
        lease = next(lease for lease in self._roomy if lease.free == lease.nbytes)
        return lease.offset, lease.nbytes

    def drain(self, late):
        """Nothing is leased here afterwards: all that was free is in a deque `late`, as (offset, nbytes, 0)."""
        free = [(*pair, 0) for lease in self._all for pair in lease.pairs()]
        late += free
        self._all, self._roomy, self.free, self.whole = [], [], 0, 0
