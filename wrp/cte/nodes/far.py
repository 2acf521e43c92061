"""Far: the bytes of another node's extents, read and written from here. Knows no names."""

from contextlib import contextmanager

from wrp.comm.digests import crc32_of
from wrp.cte import pieces
from wrp.cte.nodes.wire import INLINE, PORTION, extents_of
from wrp.cte.records import RAM
from wrp.cte.targetnumbers import is_durable, node_of
from wrp.cte.targets import Wish
from wrp.errors import WaitTimeout, WrpError

_FILLED = 512 << 10             # bytes of a file's extent that one question carries
_TOGETHER = 64 << 20            # bytes of extents that are under way at once


class Far:
    """One other node; reads as Tiers do. Its first ram is reached by one-sided MPI, its files that last lie where all nodes read them; other targets it is asked for.

    base : offset of its ram in its segment; tiers : of this node; asking : its home; away : what tells it of space
    """

    def __init__(self, node, base, remote, tiers, asking, away):
        self.node = node
        self._base, self._remote, self._tiers, self._asking, self._away = base, remote, tiers, asking, away
        self.counters = tiers.counters

    def read(self, target, offset, out):
        """Fill `out` (writable, contiguous)."""
        if target == RAM:
            self._remote.get(self.node, self._base + offset, out)
        elif is_durable(target) or node_of(target) is not None:
            self._tiers.read(target, offset, out)
        else:
            view = memoryview(out).cast("B")
            for start in range(0, len(view), PORTION):
                part = view[start:start + PORTION]
                part[:] = self._asking.ask(self.node, "fetch", target, offset + start, len(part))

    def load(self, extent, out):
        """Fill `out` with a whole extent; the crc32 of its bytes."""
        self.read(extent[0], extent[1], out)
        return crc32_of(out)

    def ahead(self, record, offset, out):
        """What reads this record's bytes from `offset` on into `out`, with more than one extent under way."""
        return _Ahead(self, record, offset, out)

    def fetch(self, parts):
        """Fill the buffers of [(extent in the first ram, buffer)]: the crc32 of each one's bytes."""
        return self._remote.get_checked(self.node, [(self._base + extent[1], part) for extent, part in parts])

    def carry(self, view, wish=Wish(), loose=None):
        """Extents of the node that hold a copy of `view` (memoryview of bytes) where it is wished: they belong to the caller, who has them in a list `loose`, too, from
        the moment on in which that is so. Raises OutOfSpace."""
        ticket, waiting, loose = self._away.ticket(), self.waiting, [] if loose is None else loose
        with self._lent(ticket, view, wish) as extents:
            kept = (ticket, True),
            # no calls in between
            waiting += kept
            loose += extents
        return extents

    def carried(self, view, wish=Wish()):
        """The same as a context manager, for a question to the node that takes them over; whatever cuts that off, they are the answer's or go back."""
        return self._lent(self._away.ticket(), view, wish)

    @contextmanager
    def _lent(self, ticket, view, wish):
        is_leased = is_handed = False
        try:
            if len(view) <= INLINE:
                extents = extents_of(self._asking.ask(self.node, "hold", bytes(view), wish, ticket))
            else:
                leased = self._asking.ask(self.node, "lease", len(view), wish, ticket)
                is_leased = True
                extents = self._filled(extents_of(leased), view)
            is_handed = True
            yield extents
        except BaseException as error:
            # what a node that answers refuses it hasn't, and what it was asked to take it has dealt with
            if is_leased and not is_handed or not isinstance(error, WrpError) or isinstance(error, WaitTimeout):
                self._away.close(self.node, ticket, False)
            raise

    def _filled(self, extents, view):
        """The extents with their checksums, once their bytes are there."""
        position, to_ram, found = 0, [], []
        for target, offset, nbytes, _ in extents:
            part = view[position:position + nbytes]
            if target == RAM:
                to_ram.append((self._base + offset, part))
            else:
                for start in range(0, nbytes, _FILLED):
                    self._asking.ask(self.node, "fill", target, offset + start, bytes(part[start:start + _FILLED]))
            found.append((target, offset, nbytes, crc32_of(part)))
            position += nbytes
        self._remote.put_many(self.node, to_ram)
        return tuple(found)

    @property
    def waiting(self):
        """What the node is to be told, see `Away.waiting`."""
        return self._away.waiting(self.node)

    def give_back(self, loose):
        """Give up what was carried and is of no use: a list, which is empty from the moment on in which that is sure; the node is told now or later."""
        waiting, freed = self.waiting, loose[:]
        # no calls in between
        del loose[:]
        waiting += freed
        self._away.tell()


class _Ahead:
    """Reads the extents of one record, in order."""

    def __init__(self, far, record, offset, out):
        self.counters, self.read = far.counters, far.read
        self._far, self._waiting, self._there = far, [], {}
        position, view = 0, memoryview(out).cast("B")
        for extent in record.extents:
            low, high = position - offset, position - offset + extent[2]
            if extent[0] == RAM and 0 <= low and high <= len(view):
                self._waiting.append((extent, view[low:high]))
            position += extent[2]

    def load(self, extent, out):
        """Fill `out` with a whole extent; the crc32 of its bytes."""
        if self._waiting and extent == self._waiting[0][0]:
            self._fetch()
        return self._there[extent] if extent in self._there else self._far.load(extent, out)

    def _fetch(self):
        nbytes = count = 0
        while count < len(self._waiting) and nbytes < _TOGETHER:
            nbytes += self._waiting[count][0][2]
            count += 1
        parts, self._waiting = self._waiting[:count], self._waiting[count:]
        self._there.update(zip((extent for extent, _ in parts), self._far.fetch(parts)))
