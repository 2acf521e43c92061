"""What the module wrp_cte_core_ext gives: the reference's Python binding of the CTE, name by name, over the store that wrp_cee uses too.

The store is the folder named by WRP_STORE, else that of a daemon, else ``wrp-store`` in the current folder. It is opened for writing at the first call and closed
when Python ends. Blobs are `bytes` in both directions, whatever is in them.
"""

from wrp.cee.asynchronous import Asynchronous
from wrp.cee.opening import borrow
from wrp.cee.values import BdevType, PoolQuery, UniqueId, bytes_in, found_by_time, found_by_words, plain, rows_in, segments_in, telemetry_of
from wrp.cte import client as clients
from wrp.cte.client import code_of
from wrp.errors import UsageError, WrpError
from wrp.runtime.config import load
from wrp.runtime.facade import ChimaeraMode

# of this process, each at most one: the store's Shared, its clients.Client, the Config to open it with
_opened, _client_of, _config = [], [], []


class Client(Asynchronous):
    """Calls of the store as a whole. Those that answer with bool or a code raise nothing that the store says."""

    def __init__(self, pool_id=None):
        """Every Client is one of the store of this process, whatever the pool."""

    def _client(self):
        return _client()

    def PollTelemetryLog(self, minimum_logical_time, pool_query=PoolQuery.Local()):
        """[CteTelemetry] from that logical time on, ascending; Broadcast: of all nodes, by their clocks, each with logical times of its own."""
        return telemetry_of(_client().poll_telemetry_log(minimum_logical_time, pool_query.query))

    def ReorganizeBlob(self, tag_id, blob_name, new_score):
        return _code("reorganize_blob", plain(tag_id), blob_name, new_score) == 0

    def TagQuery(self, tag_regex, max_tags=0, pool_query=PoolQuery.Broadcast()):
        """[name] of the tags that match as a whole; 0: all."""
        return _client().tag_query(tag_regex, max_tags, pool_query.query).results

    def BlobQuery(self, tag_regex, blob_regex, max_blobs=0, pool_query=PoolQuery.Broadcast()):
        """[(tag, blob)] that match as a whole; 0: all."""
        found = _client().blob_query(tag_regex, blob_regex, max_blobs, pool_query.query)
        return list(zip(found.tag_names, found.blob_names))

    def RegisterTarget(self, target_name, bdev_type, total_size, target_query=PoolQuery.Local(), bdev_id=UniqueId()):
        """0 for a target that the store has, or that is added for as long as it is open; else 1. A file is scratch space, its name an absolute path. Collective."""
        return _code("register_target", target_name, "ram" if bdev_type == BdevType.kRam else "file", total_size)

    def UnregisterTarget(self, target_name):
        """0 when a target that was added is gone, and its blobs have moved to others; else 1, and nothing has changed. Collective."""
        return _code("unregister_target", target_name)

    def ListTargets(self):
        """[name] of this node's targets."""
        return _client().list_targets()

    def DelBlob(self, tag_id, blob_name):
        return _code("del_blob", plain(tag_id), blob_name) == 0

    # of the reference's later versions; errors are raised: those of wrp.errors

    def GetOrCreateTagAlias(self, tag_id, alias_name):
        """The tag's id: it has one more name."""
        return UniqueId(*_client().get_or_create_tag_alias(plain(tag_id), alias_name))

    def GetNumAliases(self, tag_id):
        """How many names a tag has."""
        return _client().get_num_aliases(plain(tag_id))

    def GetTagName(self, tag_id):
        return _client().get_tag_name(plain(tag_id))

    def RenameTag(self, tag_id, new_name):
        """The tag's id, which stays."""
        return UniqueId(*_client().rename_tag(plain(tag_id), new_name))

    def DelTag(self, tag, recursive=False):
        """A tag by its id with all its names, or one of its names; `recursive`: also what is in the folder of that name."""
        _client().del_tag(plain(tag) if isinstance(tag, UniqueId) else tag, recursive)

    def GetTagSize(self, tag_id):
        return _client().get_tag_size(plain(tag_id))

    def TruncateBlob(self, tag_id, blob_name, size):
        _client().truncate_blob(plain(tag_id), blob_name, size)

    def MultiPutBlob(self, tag_id, blob_names, data):
        """`data`: a list of bytes-likes or texts (as UTF-8), one for each name."""
        _client().multi_put_blob(plain(tag_id), blob_names, rows_in(data))

    def GetResidency(self, tag_id, blob_name, off, size):
        """True when the blob has all bytes of the range: there are no holes, what was never put between others are zeros."""
        return _client().get_residency(plain(tag_id), blob_name, off, size)

    def GetCapacity(self):
        """(bytes of this node's targets, what is free of them)."""
        return tuple(_client().get_capacity())

    def Evict(self, target_name, nbytes):
        return _client().evict(target_name, nbytes)

    def TemporalSearch(self, tag_regex, blob_regex, time_begin=0, time_end=0, max_entries=0, pool_query=PoolQuery.Broadcast()):
        """[TemporalSearchResult] changed last from `time_begin` to `time_end` (ns since 1970, both included; 0: no bound), the oldest first; 0 entries: all."""
        return found_by_time(_client(), tag_regex, blob_regex, time_begin, time_end, max_entries)

    def SemanticSearch(self, tag_regex, blob_regex, query_text, k=10, pool_query=PoolQuery.Broadcast()):
        """[SemanticSearchResult] with words of the question, the best first (BM25); k 0: all."""
        return found_by_words(_client(), tag_regex, blob_regex, query_text, k)


class Tag:
    """A tag by name, made if it isn't there, or by its id. Errors are raised: those of wrp.errors."""

    def __init__(self, tag_name=None, tag_id=None):
        """One of both; an id may come first, too."""
        tag = tag_name if tag_id is None else tag_id
        self._tag = clients.Tag(plain(tag) if isinstance(tag, UniqueId) else tag, _client())

    def PutBlob(self, blob_name, data, off=0):
        """Store `data` (bytes-like; text as UTF-8): at 0 the whole blob, else that range of it."""
        _client()
        self._tag.put_blob(blob_name, bytes_in(data), off)

    def GetBlob(self, blob_name, data_size, off=0):
        """`bytes` of that range, which has to be there."""
        return self._tag.get_blob(blob_name, data_size, off)

    def PutSegments(self, blob_name, segments):
        """Put ranges [(off, data)] into a blob as one change; text as UTF-8."""
        _client().put_segments(self._tag.get_tag_id(), blob_name, segments_in(segments, blob_name))

    def GetSegments(self, blob_name, ranges):
        """[`bytes`] of ranges [(off, size)] of a blob, of one generation."""
        return _client().get_segments(self._tag.get_tag_id(), blob_name, ranges)

    def GetBlobScore(self, blob_name):
        return self._tag.get_blob_score(blob_name)

    def GetBlobSize(self, blob_name):
        return self._tag.get_blob_size(blob_name)

    def GetContainedBlobs(self):
        return self._tag.get_contained_blobs()

    def ReorganizeBlob(self, blob_name, new_score):
        self._tag.reorganize_blob(blob_name, new_score)

    def GetTagId(self):
        return UniqueId(*self._tag.get_tag_id())


def chimaera_init(mode, default_with_runtime=False, is_restart=False):
    """Open the store, as every mode does: this process, or the ranks of this job, are the runtime. True. Collective at the first call."""
    ChimaeraMode(mode)
    _store()
    return True


def initialize_cte(config_path="", pool_query=PoolQuery.Dynamic()):
    """Open the store with the configuration in `config_path` ("": as without it). True. Collective at the first call.

    UsageError where the store is in use with another configuration; one that only chimaera_init has opened is opened anew.
    """
    if config_path:
        wanted = load(config_path)
        if _opened and not _opened[0].is_daemons and _store().config.path != wanted.path:
            if _client_of or _opened[0].users > 1:
                raise UsageError(f"the store is in use with another configuration than {config_path}: call initialize_cte before the first Tag or Client, or set WRP_RUNTIME_CONF")
            _opened[0].close()
        _config[:] = [wanted]
    _client()
    return True


def get_cte_client():
    """The Client. Collective where it opens the store."""
    _client()
    return Client()


def _client():
    """The client of the store, opened for writing; another one where it was opened anew."""
    store = _store()
    if not _client_of or _client_of[0].store is not store:
        _client_of[:] = [clients.Client(store)]
    return _client_of[0]


def _store():
    if not _opened:
        _opened.append(borrow())
    return _opened[0].writing(True, *_config)


def _code(call, *args):
    try:
        getattr(_client(), call)(*args)
    except WrpError as error:
        return code_of(call, error)
    return 0
