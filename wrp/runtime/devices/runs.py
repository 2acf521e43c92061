"""Runs and Leases: what a process has leased of a device and how it divides it. Pure bookkeeping, without tasks or threads."""

from bisect import bisect_left, bisect_right, insort

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
        starts, sizes = self._starts, self._sizes
        after = bisect_right(starts, offset)
        before_end = starts[after - 1] + sizes[after - 1] if after else -1
        if before_end > offset or after < len(starts) and starts[after] < offset + nbytes:
            return False
        joins_after = after < len(starts) and starts[after] == offset + nbytes
        if before_end == offset:
            sizes[after - 1] += nbytes
            if joins_after:
                sizes[after - 1] += sizes[after]
                del starts[after], sizes[after]
        elif joins_after:
            starts[after] = offset
            sizes[after] += nbytes
        else:
            # no calls, between which a handler of a signal may raise an error
            starts[after:after], sizes[after:after] = [offset], [nbytes]
        self.free += nbytes
        return True

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

    def add(self, offset, nbytes):
        """A new lease, all free. What was of an older one there was given back by another process."""
        self._leave(offset, nbytes)
        lease = Runs(offset, nbytes)
        insort(self._all, lease)
        self._roomy.append(lease)
        self.free += nbytes
        self.whole += 1

    def _leave(self, offset, nbytes):
        """No lease has any of these bytes, of which none is free."""
        first = bisect_right(self._all, offset, key=lambda lease: lease.offset)
        if first and self._all[first - 1].offset + self._all[first - 1].nbytes > offset:
            first -= 1
        last = bisect_left(self._all, offset + nbytes, key=lambda lease: lease.offset)
        for lease in self._all[first:last]:
            parts = lease.apart_from(offset, nbytes)
            self._all.remove(lease)
            if lease.free:
                self._roomy.remove(lease)
            for part in parts:
                insort(self._all, part)
                self.whole += part.free == part.nbytes
                if part.free:
                    self._roomy.append(part)

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

    def give(self, offset, nbytes):
        """True when the bytes were of one of the leases and are free in it now, False when they were free before, None when
        they are of no lease here."""
        lease = self._of(offset, nbytes)
        if lease is None:
            return None
        if not lease.give(offset, nbytes):
            return False
        if lease.free == nbytes:
            self._roomy.append(lease)
        self.free += nbytes
        self.whole += lease.free == lease.nbytes
        return True

    def _of(self, offset, nbytes):
        number = bisect_right(self._all, offset, key=lambda lease: lease.offset)
        if number == 0:
            return None
        lease = self._all[number - 1]
        return lease if offset + nbytes <= lease.offset + lease.nbytes else None

    def pop_whole(self):
        """(offset, nbytes) of the oldest lease without a byte in use, now gone from here. Only while `whole` isn't 0."""
        lease = next(lease for lease in self._roomy if lease.free == lease.nbytes)
        self._roomy.remove(lease)
        self._all.remove(lease)
        self.free -= lease.nbytes
        self.whole -= 1
        return lease.offset, lease.nbytes

    def drain(self):
        """List of all free (offset, nbytes); nothing is leased here afterwards."""
        pairs = [pair for lease in self._all for pair in lease.pairs()]
        self._all, self._roomy, self.free, self.whole = [], [], 0, 0
        return pairs
