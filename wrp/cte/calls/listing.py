"""Calls that say what there is: names, sizes, infos, and what a put or get would take. They read no bytes of blobs."""

from wrp.comm.sizes import whole
from wrp.cte import given, names
from wrp.cte.calls.base import Calls
from wrp.cte.calls.info import children_of, info_in
from wrp.cte.calls.reading import place_of
from wrp.cte.calls.writing import reservable
from wrp.cte.modelling import modelled_get, modelled_put
from wrp.cte.records import BLOB, TAG, full_name
from wrp.cte.targets.wanted import wish_of
from wrp.cte.telemetry import Op
from wrp.errors import RangeError


class Listing(Calls):
    """See store.Store."""

    def list(self, tag, prefix=""):
        """Names of a tag's blobs that begin with `prefix`, in natural order."""
        tag, prefix = self._own(tag), given.text(prefix, "a prefix of names")
        if not self._catalog.has(tag):
            raise names.no_tag(tag)
        return sorted((blob for blob in self._names_in(tag) if blob.startswith(prefix)), key=names.natural)

    def _names_in(self, tag):
        found = self._catalog.names(tag)
        return set(found).union(*map(self._catalog.names, self._sources(tag))) if self._tag_names.sources else found

    def exists(self, tag, blob=None):
        tag = self._own(tag)
        if self._catalog.find(full_name(tag, blob)) is not None:
            return True
        return blob is not None and self._of_sources(tag, blob) is not None

    def size(self, tag, blob):
        """Bytes of a blob."""
        tag = self._own(tag)
        self._noted.note(Op.GET_BLOB_SIZE, tag, blob)
        record = self._record(tag, blob)
        return record.raw or record.size

    def tag_size(self, tag):
        """Bytes of all blobs of a tag."""
        tag = names.checked("tag", self._own(tag))
        sums = self._catalog.sums(tag)
        if sums is None:
            raise names.no_tag(tag)
        self._noted.note(Op.GET_TAG_SIZE, tag)
        return sums[1] if tag not in self._tag_names.sources else sum(about.size for about in self.infos(tag).values())

    def info(self, tag, blob):
        tag = self._own(tag)
        self._noted.note(Op.GET_BLOB_INFO, tag, blob)
        return info_in(tag, self._record(tag, blob))

    def infos(self, tag):
        """{blob: BlobInfo} of a tag, in natural order; one look at the catalog."""
        tag = self._own(tag)
        found = {record.blob: record for record in self._of_tag(tag)}
        for source in self._sources(tag):
            found = {**{record.blob: record for record in self._catalog.scan(kind=BLOB, tag=source)}, **found}
        self._noted.note(Op.GET_CONTAINED_BLOBS, tag)
        return {blob: info_in(tag, found[blob]) for blob in sorted(found, key=names.natural)}

    def tag_stamp(self, tag):
        """When a tag was made: ns since 1970, of no other tag of the store, the same for every job. NoSuchTag when it isn't there."""
        record = self._catalog.find(names.checked("tag", self._own(tag)))
        if record is None:
            raise names.no_tag(tag)
        return record.created

    def aliases(self, tag):
        """All names of the tag that has this name, the one that it was made with first, where it has that still. NoSuchTag."""
        if not self.exists(tag):
            raise names.no_tag(tag)
        return list(self._tag_names.names_of(self._own(tag)))

    @property
    def has_checkpoints(self):
        """True where some tags show the blobs of others, see `checkpoint`. Local."""
        return bool(self._tag_names.sources)

    def own_name(self, tag):
        """The name by which telemetry and messages know a tag whatever names it gets: most often the one it was made with. Local."""
        return str(self._own(names.checked("tag", tag)))

    def children(self, folder=""):
        """[Child] of a folder of tags, whose names have `/` between them; "": of the store. In natural order; empty where there is nothing."""
        head = folder + "/" if given.text(folder, "the name of a folder") else ""
        return children_of(head, (tag for tag in self.tags() if tag.startswith(head) and len(tag) > len(head)))

    def extents(self, tag, blob):
        """[(target, offset, nbytes)] of the bytes stored of a blob, in their order; target 0 is the node's ram, files count from 1."""
        return [extent[:3] for extent in self._record(self._own(tag), blob).extents]

    def tags(self, pattern=".*"):
        """Names of the tags that match entirely, in natural order."""
        matches = names.matcher("tag", pattern)
        return sorted(self._tag_names.shown([record.name for record in self._catalog.scan(kind=TAG)], matches), key=names.natural)

    def blobs(self, tag_pattern=".*", blob_pattern=".*", limit=0):
        """[(tag, blob)] whose names match entirely, in natural order of tag, then blob; at most `limit` unless it is 0."""
        blob_matches, limit = names.matcher("blob", blob_pattern), whole(limit, "a limit of", 0)
        found = []
        for tag in self.tags(tag_pattern):
            matching = sorted(filter(blob_matches, self._names_in(self._own(tag))), key=names.natural)
            found += [(tag, blob) for blob in matching]
            if limit and len(found) >= limit:
                return found[:limit]
        return found

    # what calls would take

    def modelled_put(self, tag, blob, nbytes, score=1.0, min_persistence="volatile"):
        """Modelled(seconds, places) of a put of a whole blob of so many bytes, from the figures of the targets that would take them: nothing is put.

        Without the time of the call itself, of compression, and of the way to another node. OutOfSpace where no target would have room.
        """
        self._writable()
        names.checked("tag", self._own(tag)), names.checked("blob", blob)
        nbytes, score = reservable(blob, nbytes, score)
        return modelled_put(self._tiers, nbytes, wish_of(score, min_persistence))

    def modelled_get(self, tag, blob, offset=0, size=None):
        """The same of a get of a range of a blob from where it lies now; nothing is read. RangeError."""
        record = self._record(self._own(tag), blob)
        (offset, size), nbytes = place_of(blob, offset, size), record.raw or record.size
        wanted = nbytes - offset if size is None else size
        if offset < 0 or wanted < 0 or offset + wanted > nbytes:
            raise RangeError(f"bytes {offset} to {offset + wanted} lie beyond blob {blob!r}, which has {nbytes} bytes")
        # of a frame, how much of it a range needs isn't known before it is read
        return modelled_get(self._tiers, record.extents, *((0, record.size) if record.raw else (offset, wanted)))
