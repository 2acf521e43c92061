"""Calls that give bytes, wherever the home of their blob is."""

import time
import warnings
from contextlib import suppress

from wrp.comm.refusals import let_out
from wrp.cte import given, names
from wrp.cte.calls.base import READS, busy
from wrp.cte.calls.reading import nobody_put, place_of, places_of, target_of
from wrp.cte.nodes.calls.base import NodesCalls
from wrp.cte.nodes.held import unpack
from wrp.cte.nodes.many import get_many
from wrp.cte.nodes.wire import record_of
from wrp.cte.records import full_name
from wrp.errors import Corrupt, MaybeOlder, NoSuchBlob, NoSuchTag, RangeError, UsageError, WaitTimeout

_SHORTEST_NAP_S, _LONGEST_NAP_S = 1e-3, 50e-3


class NodesReading(NodesCalls):
    """See store.NodesStore; what calls mean is said in wrp.cte.calls.reading."""

    def get(self, tag, blob, offset=0, size=None, out=None):
        """As Store.get. The bytes of a blob with another home come straight into `out`; a copy of a keeper's where the home's are damaged, or it is silent."""
        tag, (offset, size) = self._own(tag), place_of(blob, offset, size)
        try:
            return self._get(tag, blob, offset, size, out)
        except (Corrupt, WaitTimeout) as error:
            let_out(error)
            if self._routes.keepers is None:
                raise
            return self._get_otherwise(error, tag, blob, offset, size, out)
        except (NoSuchBlob, NoSuchTag) as error:
            let_out(error)
            for source in self._sources(tag):
                with suppress(NoSuchBlob, NoSuchTag):
                    return self.get(source, blob, offset, size, out)
            raise

    def _get_otherwise(self, error, tag, blob, offset, size, out):
        """The same from a keeper, which has what was put last by a call that has returned, or, without a home that answers, by the last sweep; MaybeOlder is warned of then.

        A home that has other bytes gets them back.
        """
        keepers, home, name = self._routes.keepers, self._routes.home(tag, blob), full_name(tag, blob)
        stamp = self._stamp_at(home, tag, blob) if isinstance(error, Corrupt) else None
        if stamp is None and (self._routes.is_left(tag, blob) or keepers.sweeping is not None and keepers.sweeping.owes(home, name)):
            raise error                 # what a keeper has is older than what this rank knows
        found = keepers.read(home, name, stamp)
        if found is None and stamp is not None and self._stamp_at(home, tag, blob) != stamp:
            return self.get(tag, blob, offset, size, out)
        if found is None:
            raise error
        record, data = found
        if stamp is not None:
            keepers.mend(home, record, data)
        elif keepers.sweeping is not None:
            warnings.warn(f"blob {blob!r} of tag {tag!r} is read from a copy, since its home, node {home}, is silent: the copy is of generation {record.stamp}, "
                          "and newer ones may have been put that no sweep of targets.replicate_period_ms has brought there", MaybeOlder, 3)
        place = target_of(record, offset, size, out)
        unpack(self._parts, record, data, offset, place)
        return len(place) if out is not None else bytes(place)

    def _stamp_at(self, home, tag, blob):
        return self._routes.look("info", tag, blob)[3]

    def _get(self, tag, blob, offset, size, out):
        home = self._routes.home(tag, blob)
        if home == self._routes.node:
            try:
                return self._here.get(tag, blob, offset, size, out)
            except NoSuchTag as error:
                let_out(error)
                self._routes.look("look", tag, blob, 0, None)      # raises what is true of all nodes, unless it was put meanwhile
                return self._here.get(tag, blob, offset, size, out)
        return self._get_far(home, tag, blob, offset, size, out)

    def _get_far(self, home, tag, blob, offset, size, out):
        """`get` of a blob of another node; of what this node keeps of it where that is what its home has."""
        target = given.bytes_of(out, writable=True) if out is not None else None
        if target is not None and size is None:
            size = len(target)
        elif target is not None and size > len(target):
            raise RangeError(f"{size} bytes of blob {blob!r} don't fit into the buffer of {len(target)}")
        for _ in range(READS):
            kept, plain, data = self._looked("look", tag, blob, offset, size)
            if data is not None:
                if target is None:
                    return data
                if size:
                    target[:size] = data
                return size
            record = record_of(plain) if plain is not None else kept
            place = target_of(record, offset, size, out)
            if self._cache.get(kept, offset, place) if plain is None else self._fetched(home, record, offset, place):
                return len(place) if out is not None else bytes(place)
        raise busy(tag, blob)

    def _looked(self, call, tag, blob, *args):
        """(Record of what this node keeps of a blob or None, what Answering.look or look_segments gives with the generation of that)."""
        kept = self._cache.find(tag, blob) if self._cache is not None else None
        try:
            return kept, *self._routes.look(call, tag, blob, *args, kept.stamp if kept is not None else 0)
        except (NoSuchBlob, NoSuchTag):
            if kept is not None:
                self._cache.drop(kept)
            raise

    def _fetched(self, home, record, offset, place):
        """Fill `place` from another node, and keep a whole blob; False when it was replaced meanwhile."""
        cache, net = self._cache, self._routes.net
        if cache is None:
            return net.read(home, record, offset, place)
        cache.missed(len(place))
        if len(place) < (record.raw or record.size) or not cache.wants(record):
            return net.read(home, record, offset, place)
        stored = bytearray(record.size) if record.raw else place
        if not net.read(home, record.but(raw=0), 0, stored):
            return False
        if record.raw:
            unpack(self._parts, record, stored, 0, place)
        cache.keep(record, stored)
        return True

    def get_segments(self, tag, blob, ranges):
        """As Store.get_segments."""
        tag, ranges = self._own(tag), places_of(blob, ranges)
        try:
            return self._through(lambda own: self._get_segments(own, blob, ranges), tag)
        except (Corrupt, WaitTimeout) as error:
            let_out(error)
            if self._routes.keepers is None:
                raise
            whole = self.get(tag, blob)         # from a keeper, if there is a way
            if any(offset < 0 or size < 0 or offset + size > len(whole) for offset, size in ranges):
                raise RangeError(f"ranges of blob {blob!r} of tag {tag!r} lie beyond its {len(whole)} bytes") from None
            return [whole[offset:offset + size] for offset, size in ranges]

    def _get_segments(self, tag, blob, ranges):
        home = self._routes.home(tag, blob)
        for _ in range(READS):
            kept, plain, found = self._looked("look_segments", tag, blob, ranges)
            if found is not None:
                return found
            if home == self._routes.node:
                return self._here.get_segments(tag, blob, ranges)
            record = record_of(plain) if plain is not None else kept
            found = [target_of(record, offset, size, None) for offset, size in ranges]
            if all(self._cache.get(kept, offset, target) if plain is None else self._fetched(home, record, offset, target)
                   for (offset, _), target in zip(ranges, found)):
                return list(map(bytes, found))
        raise busy(tag, blob)

    def get_many(self, tag, blobs, out=None):
        """As Store.get_many; one question for each home."""
        tag, blobs = self._own(tag), given.listed(blobs, "names of blobs")
        if out is None and tag in self._tag_names.sources:
            return [self.get(tag, blob) for blob in blobs]
        if out is None:
            return get_many(self, self._routes, self._cache, tag, blobs, None)
        rows = given.rows_of(out)
        if rows is None or not rows.flags.writeable or len(rows) != len(blobs):
            raise UsageError(f"{len(blobs)} blobs need a contiguous, writable array with a row for each")
        names.all_checked("blob", blobs)
        if tag not in self._tag_names.sources:
            get_many(self, self._routes, self._cache, tag, blobs, rows)
            return None
        for blob, row in zip(blobs, rows):
            self.get(tag, blob, out=row)
        return None

    def view(self, tag, blob):
        """As Store.view; a copy where the blob has its home on another node."""
        tag = self._own(tag)
        if self._routes.home(tag, blob) == self._routes.node and self._here.exists(tag, blob):
            try:
                return self._here.view(tag, blob)
            except Corrupt as error:
                let_out(error)
                pass                    # `get` says it, or knows who has a copy
        return memoryview(self.get(tag, blob)).toreadonly()

    def wait(self, tag, blob, timeout_s=None):
        """As Store.wait."""
        names.checked("tag", tag), names.checked("blob", blob)
        timeout_s = self.ranks.timeout_s if timeout_s is None else given.real(timeout_s, "a time-out")
        deadline, nap = time.monotonic() + timeout_s, _SHORTEST_NAP_S
        while not self.exists(tag, blob):
            if time.monotonic() >= deadline:
                raise nobody_put(tag, blob, timeout_s)
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP_S)
        return self.info(tag, blob)
