"""What all calls of a store stand on: its parts, the record of a blob, refusals. No call of its own."""

from wrp.cte.names import checked, no_tag
from wrp.cte.records import BLOB, full_name
from wrp.errors import NoSuchBlob, UsageError, WaitTimeout

READS = 1000                    # tries of a read of a blob that is being replaced


class Calls:
    """Of one rank. `_direct` is None where the node has no ram."""

    _gone = "the store was closed"
    ranks = folder = None
    _parts = _catalog = _tiers = _noted = _tag_names = _own = _naming = None
    _changes = _edits = _flush = _moves = _direct = _organizing = _periodic = None

    def _record(self, tag, blob):
        """The record of a blob; of one that a checkpoint tag hasn't got, of the nearest of its sources that has."""
        record = self._catalog.find(full_name(tag, blob))
        if record is not None and record.kind == BLOB:
            return record
        if blob is not None and (record := self._of_sources(tag, blob)) is not None:
            return record
        raise self._absent(tag, blob)

    def _of_sources(self, tag, blob):
        """The record of the nearest of a checkpoint tag's sources that has the blob, or None."""
        return next(filter(None, (self._catalog.find(full_name(source, blob)) for source in self._sources(tag))), None)

    def _sources(self, tag):
        """Own names of a tag's source, of the source's source, and so on; none of a tag that is no checkpoint."""
        found, sources = [], self._tag_names.sources
        while (tag := sources.get(tag)) is not None:
            found.append(tag)
        return found

    def _absent(self, tag, blob):
        """The error of a blob that wasn't there a moment ago; another rank may have put it since."""
        checked("blob", blob)
        return no_tag(tag) if self._catalog.find(tag) is None else NoSuchBlob(f"there is no blob {blob!r} in tag {tag!r}")

    def _of_tag(self, tag):
        if self._catalog.find(tag) is None:
            raise no_tag(tag)
        return self._catalog.scan(kind=BLOB, tag=tag)

    def _check_open(self):
        if self._parts is None:
            raise UsageError(self._gone)

    def _writable(self):
        parts = self._parts
        if parts is None or not parts.write or parts.failure is not None:
            self._refuse()

    def _refuse(self):
        self._check_open()
        if not self._parts.write:
            raise UsageError(f"store {self.folder} was opened for reading only")
        self._parts.raise_failure()

    def _framing(self):
        """The store's Framing; one without settings where it has none."""
        if self._parts.framing is not None:
            return self._parts.framing
        from wrp.cte.framing import Framing

        return Framing(self._tiers)


def busy(tag, blob):
    return WaitTimeout(f"blob {blob!r} of tag {tag!r} was replaced {READS} times while it was read; its writers don't pause")
