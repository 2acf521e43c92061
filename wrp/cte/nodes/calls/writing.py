"""Calls that put bytes, each at the home of its blob."""

from contextlib import nullcontext

from wrp.comm.refusals import let_out
from wrp.comm.sizes import whole
from wrp.cte import given, names
from wrp.cte.calls.writing import many_of, reservable, segments_of
from wrp.cte.nodes.calls.base import NodesCalls
from wrp.cte.nodes.many import put_many
from wrp.cte.nodes.wire import INLINE
from wrp.cte.reservation import Reservation
from wrp.cte.targets import Wish
from wrp.cte.targets.wanted import wish_of
from wrp.errors import OutOfSpace


class NodesWriting(NodesCalls):
    """See store.NodesStore; what calls mean is said in wrp.cte.calls.writing."""

    def put(self, tag, blob, data, offset=None, score=1.0, compression=None, if_generation=None, min_persistence="volatile"):
        """As Store.put."""
        self._writable()
        score = given.score_of(score, f"a put of blob {blob!r:.80}")
        if min_persistence != "volatile":
            self._check_persistence(min_persistence, offset, compression)
        names.checked("tag", tag), names.checked("blob", blob)
        tag = self._own(tag)
        if offset is not None:
            offset = whole(offset, f"offset of a put into blob {blob!r}:", 0)
            if self._tag_names.sources:
                self._bring(tag, blob)
        home = self._routes.home(tag, blob)
        try:
            outcome = self._put_at(home, tag, blob, data, offset, score, compression, if_generation, min_persistence)
        except OutOfSpace as error:
            let_out(error)
            # a neighbour's ram is volatile, its files last
            lasts = min_persistence in ("volatile", "only volatile" if self._parts.folder is None else "only long_term") \
                or not min_persistence.startswith("only") and self._parts.folder is not None
            if offset is not None or compression is not None or self._parts.framing is not None or not lasts:
                raise
            extents = self._routes.net.lent(home, given.bytes_of(data))
            if extents is None:
                raise
            outcome = self._routes.change_at(home, "adopt", tag, blob, extents, score, if_generation)
        self._routes.settle(tag, [blob])
        return outcome

    def _put_at(self, home, tag, blob, data, offset, score, compression, if_generation, min_persistence):
        if home == self._routes.node:
            return self._here.put(tag, blob, data, offset, score, compression, if_generation, min_persistence)
        if compression is not None:
            from wrp.cte.codecs.compression import Compression, Outcome

            config = Compression.of(compression, given.dtype_of(data)).get_config()
            with self._sent(home, data) as sent:
                return Outcome(*self._routes.change_at(home, "put", tag, blob, sent, offset, score, config, if_generation, min_persistence))
        with self._sent(home, data, wish_of(score, min_persistence)) as sent:
            return self._routes.change_at(home, "put", tag, blob, sent, offset, score, None, if_generation, min_persistence)

    def _sent(self, home, data, wish=Wish()):
        """`data` as an argument of a call of its home, for `with`: the bytes, or extents of the home that hold them, where it is wished."""
        view = given.bytes_of(data)
        return nullcontext(bytes(view)) if len(view) <= INLINE else self._routes.net.far[home].carried(view, wish)

    def put_many(self, tag, blobs, rows, score=1.0):
        """As Store.put_many; one question for each home and half a megabyte."""
        self._writable()
        blobs, rows, score = many_of(blobs, rows, score)
        names.checked("tag", tag)
        tag = self._own(tag)
        try:
            put_many(self, self._routes, tag, blobs, rows, score)
        finally:
            self._routes.settle(tag, blobs)

    def put_segments(self, tag, blob, segments, score=1.0, if_generation=None):
        """As Store.put_segments."""
        self._writable()
        names.checked("tag", tag), names.checked("blob", blob)
        tag, (parts, score) = self._own(tag), segments_of(blob, segments, score)
        if self._tag_names.sources:
            self._bring(tag, blob)
        home = self._routes.home(tag, blob)
        if home == self._routes.node:
            self._here.put_segments(tag, blob, parts, score, if_generation)
            self._routes.settle(tag, [blob])
        else:
            places = [(offset, len(data)) for offset, data in parts]
            with self._sent(home, b"".join(data for _, data in parts)) as sent:
                self._routes.change("put_segments", tag, blob, places, sent, score, if_generation)

    def append(self, tag, blob, data):
        """As Store.append."""
        self._writable()
        names.checked("tag", tag), names.checked("blob", blob)
        tag = self._own(tag)
        if self._tag_names.sources:
            self._bring(tag, blob)
        home = self._routes.home(tag, blob)
        if home == self._routes.node:
            self._here.append(tag, blob, data)
            self._routes.settle(tag, [blob])
        else:
            with self._sent(home, data) as sent:
                self._routes.change("append", tag, blob, sent)

    def truncate(self, tag, blob, nbytes):
        """As Store.truncate."""
        self._writable()
        tag, nbytes = self._own(tag), whole(nbytes, f"the size of blob {blob!r:.80}:", 0)
        if self._tag_names.sources:
            self._bring(tag, blob)
        self._routes.change("truncate", tag, blob, nbytes)

    def reserve(self, tag, blob, nbytes, score=1.0):
        """As Store.reserve; the bytes of a blob with another home, or with replicas, are copied at the commit."""
        self._writable()
        names.checked("tag", tag), names.checked("blob", blob)
        tag = self._own(tag)
        if self._routes.home(tag, blob) == self._routes.node and self._routes.keepers is None:
            return self._here.reserve(tag, blob, nbytes, score)
        nbytes, score = reservable(blob, nbytes, score)
        if self._parts.framing is None:
            self._tiers.check_room(nbytes, is_empty=True)
        return Reservation(None, nbytes, None, lambda view: self.put(tag, blob, view, score=score))
