"""Moves of single blobs between the targets of a node, each under the blob's generation. Which ones: not decided here.

A blob that leaves the ram is in a file before: one that is dirty is flushed first. A blob that comes into ram, or to another target that ends
with the job, keeps its place in the file; one that goes from file to file is in the second and in the journal before it leaves the first. The record changes in one step, and only if the blob is still the one that was copied; its stamp stays, because its bytes do. So a
reader sees the old place or the new one, and one that copied from the old place while it was given back looks again.
"""

from collections import Counter

from wrp.comm.refusals import let_out
from wrp.cte import pieces
from wrp.cte.changes import put_owned
from wrp.cte.records import BLOB, RAM
from wrp.cte.targetnumbers import is_durable
from wrp.cte.targets import Wish
from wrp.errors import Corrupt, OutOfSpace


class Moves:
    """Moves for one rank. All calls are local and say whether they did something; a blob that changes meanwhile is left alone."""

    def __init__(self, catalog, tiers, flush):
        self._catalog, self._tiers, self._flush = catalog, tiers, flush

    def move(self, name, to_ram, score=None):
        """Take the blob of a full name to the first ram, or to where only files hold it; see `to`."""
        record = self._catalog.find(name)
        if record is None or record.kind != BLOB or in_ram(record) == to_ram and (to_ram or record.extents == record.durable):
            return False
        return self.to(name, RAM if to_ram else None, score)

    def to(self, name, target, score=None):
        """Take the blob of a full name to a target, None: to files; and give it a score, unless that is None. True when it moved.

        Raises OutOfSpace when no file has room for one that must be flushed, StoreError when it can't be flushed.
        """
        record = self._catalog.find(name)
        if record is None or record.kind != BLOB or not record.size or all(extent[0] == target for extent in record.extents):
            return False
        if target is not None and is_durable(target):
            return not self._tiers.is_viewed(record) and self._to_file(record, target, score)
        if record.dirty and self._tiers.has_files:
            self._flush.some([name])
            record = self._catalog.find(name)
            if record is None or record.dirty:
                return False
        return self.down(record, score) if target is None else self._up(record, score, target)

    def by_score(self, name):
        """Take the blob of a full name to where a put of it, with its score, would go if it weren't there: True when it moved."""
        record, placing = self._catalog.find(name), self._tiers.placing
        if record is None or record.kind != BLOB:
            return False
        free = Counter()
        for target, _, nbytes, _ in set(record.extents) | set(record.durable):
            free[target] -= nbytes
        nothing_stays = {target.number for target in placing.targets if target.kind == "noop"}
        wanted = [number for number in placing.twin(free).order(record.size, Wish(record.score), False) if number not in nothing_stays]
        files = sum(map(is_durable, wanted))
        for number in wanted:
            if all(extent[0] == number for extent in record.extents):
                return False
            # where one file takes all that lasts, a blob that it has needn't be written there again
            if self.to(name, None if is_durable(number) and files == 1 else number):
                return True
        return False

    def _to_file(self, record, target, score):
        try:
            if not self._flush.carry(record.name, target):
                return False
        except OutOfSpace as error:
            let_out(error)
            return False
        now = self._catalog.find(record.name)
        return now is not None and now.stamp == record.stamp and self.down(now, score)

    def down(self, record, score=None):
        """Give up the copy outside of files of a clean blob that nobody views; True when it was."""
        loose = []
        try:
            with self._catalog.changing(f"moving blob {record.blob!r} to files"):
                now = self._catalog.find(record.name)
                if now is None or now.stamp != record.stamp or not is_spare(now) or self._tiers.is_viewed(now):
                    return False
                put_owned(self._catalog, _scored(now.but(extents=now.durable, pinned=False), score), loose,
                          [extent for extent in now.extents if extent not in now.durable])
            self._tiers.settle(loose)
        except BaseException:
            self._tiers.settle(loose)
            raise
        return True

    def _up(self, record, score, target):
        if record.size > self._tiers.free(target):
            return False
        loose = []
        try:
            extents = self._copied(record, target, loose)
            done = extents is not None and self.switch(record, extents, score, loose)
            self._tiers.settle(loose)
        except BaseException:
            self._tiers.settle(loose)
            raise
        return done

    def switch(self, record, extents, score=None, loose=None):
        """Let the blob's bytes be read from `extents`, which hold them; True when it was still as in the record. What isn't needed is given back.

        loose : a list of the extents that aren't the record's; it is empty then, and on any error what is in it isn't anybody's
        """
        loose, done = [] if loose is None else loose, False
        try:
            unused = list(set(extents) - set(record.extents) - set(record.durable))
            loose[:] = unused
            with self._catalog.changing(f"moving blob {record.blob!r}"):
                now = self._catalog.find(record.name)
                if now is not None and (now.stamp, now.extents, now.dirty) == (record.stamp, record.extents, record.dirty) and not self._tiers.is_viewed(now):
                    replaced = set(now.extents) - set(now.durable) - set(extents)
                    put_owned(self._catalog, _scored(now.but(extents=tuple(extents), pinned=False), score), loose, list(replaced))
                    done = True
            self._tiers.settle(loose)
        except BaseException:
            self._tiers.settle(loose)
            raise
        return done

    def _copied(self, record, target, loose):
        """Extents on the target that hold the bytes of the record; None when there is no room, or it was replaced meanwhile."""
        data = bytearray(record.size)
        try:
            pieces.read(self._tiers, record, 0, data)
        except Corrupt as error:
            let_out(error)
            if self._catalog.still(record):
                raise
            return None
        try:
            return pieces.write(self._tiers, data, wish=Wish(record.score, target=target), loose=loose)
        except OutOfSpace as error:
            let_out(error)
            return None


def in_ram(record):
    """True when some of the blob's bytes are read from the first ram."""
    return any(extent[0] == RAM for extent in record.extents)


def is_spare(record):
    """True when files hold all of the blob too."""
    return bool(record.durable) and not record.dirty and record.extents != record.durable


def _scored(record, score):
    return record if score is None else record.but(score=score)
