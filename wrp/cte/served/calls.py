"""Which calls of a Store an attached program can make, and how a daemon's rank answers each. Knows no segment and no task."""

import secrets

from wrp.comm.checksum import crc32
from wrp.cte import given
from wrp.cte.reservation import private
from wrp.cte.views import Shown
from wrp.runtime.config import keys

# made on the daemon's Store as they are asked for
PLAIN = ("put", "put_many", "put_segments", "append", "truncate", "get_segments", "create", "delete", "destroy", "copy", "rename", "alias", "rename_tag", "rename_folder", "snapshot",
         "checkpoint", "score", "compression", "list", "exists", "size", "tag_size", "info", "infos", "tag_stamp", "aliases", "own_name", "children", "extents", "tags", "blobs",
         "modelled_put", "modelled_get", "telemetry", "changed", "statistics", "flush", "replicate", "targets", "lasting", "recover", "target_name", "move", "evict", "organize")
# made by all ranks of the daemon together, and by those of a job once
TOGETHER = ("add_target", "remove_target", "set_compression", "flush_all")
BY_ALL = {*TOGETHER, "commit_batch"}
CHANGES_NOTHING = {"get", "get_many", "get_segments", "wait", "about", "compression", "list", "exists", "size", "tag_size", "info", "infos", "tag_stamp", "aliases", "own_name",
                   "children", "extents", "tags", "blobs", "modelled_put", "modelled_get", "telemetry", "changed", "statistics", "flush", "flush_all", "replicate", "targets",
                   "lasting", "target_name", "batch"}


class Calls:
    """store: the daemon's, of this rank. `table`: function by a call's name. Making it is collective."""

    def __init__(self, store):
        self._store, self._word = store, store.ranks.share(secrets.token_hex(8), "the word of the daemon's store")
        self.table = {**{name: getattr(store, name) for name in PLAIN}, **{name: getattr(self, name) for name in ("about", "get", "put_rows", "get_many", "get_rows")}}

    def about(self):
        """(folder, nodes, number of this one, deadline of a wait, values of the configuration, a word of its own) of the store."""
        store = self._store
        values = {key: store.config.get(key) for key in keys.of_file() if isinstance(store.config.get(key), (bool, int, float, str))}
        return store.folder, store.ranks.nodes, store.ranks.node, store.ranks.timeout_s, values, self._word

    def get(self, tag, blob, offset=0, size=None):
        """The bytes, without a copy where they lie in ram."""
        if type(offset) is int and (size is None or type(size) is int):
            view = self._store.view(tag, blob)
            end = len(view) if size is None else offset + size
            if 0 <= offset <= end <= len(view) and (end - offset < len(view) or self._is_right(view, tag, blob)):
                return view[offset:end]
        return self._store.get(tag, blob, offset, size)     # says what is wrong with it

    def _is_right(self, view, tag, blob):
        """Whether the bytes are the blob's, which they may not be where they lie in ram still; a copy was checked."""
        return not isinstance(view.obj, Shown) or crc32(view) == self._store.info(tag, blob).checksum

    def get_many(self, tag, blobs):
        return self._store.get_many(tag, blobs)

    def get_rows(self, tag, blobs, nbytes):
        """The first `nbytes` bytes of each of the blobs, one behind the other."""
        out = private(nbytes * len(blobs))
        self._store.get_many(tag, blobs, given.rows_in(out, nbytes))
        return memoryview(out)

    def put_rows(self, tag, blobs, data, nbytes, score):
        """put_many of rows that stand one behind the other."""
        self._store.put_many(tag, blobs, given.rows_in(data, nbytes), score)
