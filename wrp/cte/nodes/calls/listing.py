"""Calls that say what there is: of a blob its home says it, of a tag every node its part."""

from dataclasses import replace

from wrp.comm.refusals import let_out
from wrp.comm.sizes import whole
from wrp.cte import given, names
from wrp.cte.calls import BlobInfo
from wrp.cte.calls.reading import place_of
from wrp.cte.calls.writing import reservable
from wrp.cte.modelling import Modelled
from wrp.cte.nodes.calls.base import NodesCalls
from wrp.cte.targets.wanted import wish_of
from wrp.errors import NoSuchTag


class NodesListing(NodesCalls):
    """See store.NodesStore; what calls mean is said in wrp.cte.calls.listing."""

    def list(self, tag, prefix=""):
        """As Store.list, over all nodes."""
        tag, prefix = self._own(tag), given.text(prefix, "a prefix of names")
        found = {blob for part in self._routes.of_tag("list", tag, prefix) for blob in part}
        for source in self._sources(tag):
            found.update(self.list(source, prefix))
        return sorted(found, key=names.natural)

    def exists(self, tag, blob=None):
        """As Store.exists."""
        tag = self._own(tag)
        if blob is None:
            return self._routes.knows(tag)
        return any(self._routes.net.at(self._routes.home(own, blob), "exists", own, blob) for own in [tag, *self._sources(tag)])

    def size(self, tag, blob):
        """As Store.size."""
        return self.info(tag, blob).size

    def tag_size(self, tag):
        """As Store.tag_size, over all nodes."""
        tag = self._own(tag)
        if tag in self._tag_names.sources:
            return sum(about.size for about in self.infos(tag).values())
        return sum(self._routes.of_tag("sums", tag))

    def info(self, tag, blob):
        """As Store.info."""
        tag = self._own(tag)
        return self._through(lambda own: replace(_info(self._routes.look("info", own, blob)), **({} if own is tag else {"stamp": 0})), tag)

    def infos(self, tag):
        """As Store.infos, over all nodes."""
        tag = self._own(tag)
        found = {blob: _info(fields) for part in self._routes.of_tag("infos", tag) for blob, *fields in part}
        for source in self._sources(tag)[:1]:
            found = {**{blob: replace(about, stamp=0) for blob, about in self.infos(source).items()}, **found}
        return {blob: found[blob] for blob in sorted(found, key=names.natural)}

    def tag_stamp(self, tag):
        """As Store.tag_stamp: as the tag's home says, which learns of it here if only homes of its blobs knew it."""
        tag = self._own(names.checked("tag", tag))
        home = self._routes.home(tag)
        try:
            return self._routes.net.at(home, "tag_stamp", tag)
        except NoSuchTag as error:
            let_out(error)
            if not self.exists(tag):
                raise
            self.create(tag)
            return self._routes.net.at(home, "tag_stamp", tag)

    def extents(self, tag, blob):
        """As Store.extents: on the blob's home, whose ram is target 0."""
        return [tuple(extent) for extent in self._seen("extents", self._own(tag), blob)]

    def tags(self, pattern=".*"):
        """As Store.tags, over all nodes."""
        matches = names.matcher("tag", pattern)
        if self._tag_names.table().owns:
            found = self._tag_names.shown({own for part in self._routes.net.everywhere("tags", ".*") for own in part}, matches)
        else:
            found = {tag for part in self._routes.net.everywhere("tags", pattern) for tag in part}
        return sorted(found, key=names.natural)

    def blobs(self, tag_pattern=".*", blob_pattern=".*", limit=0):
        """As Store.blobs, over all nodes."""
        matches = names.matcher("tag", tag_pattern)
        blob_matches, limit = names.matcher("blob", blob_pattern), whole(limit, "a limit of", 0)
        if self._tag_names.table().owns and self._tag_names.sources:
            found = [(tag, blob) for tag in self.tags(tag_pattern) for blob in self.list(tag) if blob_matches(blob)]
        elif self._tag_names.table().owns:
            parts = self._routes.net.everywhere("blobs", ".*", blob_pattern, 0)
            found = [(tag, blob) for part in parts for own, blob in part for tag in self._tag_names.shown([own], matches)]
        else:
            found = [tuple(pair) for part in self._routes.net.everywhere("blobs", tag_pattern, blob_pattern, limit) for pair in part]
        found.sort(key=lambda pair: tuple(map(names.natural, pair)))
        return found[:limit] if limit else found

    def modelled_put(self, tag, blob, nbytes, score=1.0, min_persistence="volatile"):
        """As Store.modelled_put: at the blob's home."""
        self._writable()
        wish_of(1.0, min_persistence)
        return _modelled(self._routes.look("modelled_put", self._own(tag), blob, *reservable(blob, nbytes, score), min_persistence))

    def modelled_get(self, tag, blob, offset=0, size=None):
        """As Store.modelled_get: at the blob's home."""
        return _modelled(self._seen("modelled_get", self._own(tag), blob, *place_of(blob, offset, size)))


def _modelled(fields):
    seconds, places = fields
    return Modelled(seconds, tuple(map(tuple, places)))


def _info(fields):
    """The BlobInfo of a list of its fields."""
    info = BlobInfo(*fields)
    return replace(info, tiers=tuple(info.tiers))
