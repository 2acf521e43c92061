"""What the module wrp_cte_core_ext gives: the reference's Python binding of the CTE, name by name, over the store that wrp_cee uses too.

The store is the folder named by WRP_STORE, else that of a daemon, else ``wrp-store`` in the current folder. It is opened for writing at the first call and closed
when Python ends. Blobs are `bytes` in both directions, whatever is in them.
"""

from enum import IntEnum
from typing import NamedTuple

from wrp.cee.opening import borrow
from wrp.cte import client as clients
from wrp.cte.client import code_of
from wrp.cte.telemetry import Op
from wrp.errors import UsageError, WrpError
from wrp.runtime import routing
from wrp.runtime.config import load
from wrp.runtime.facade import ChimaeraMode

# of this process, each at most one: the store's Shared, its clients.Client, the Config to open it with
_opened, _client_of, _config = [], [], []


class CteOp(IntEnum):
    """The reference's six, and those that it notes under others' names."""

    kPutBlob = Op.PUT_BLOB
    kGetBlob = Op.GET_BLOB
    kDelBlob = Op.DELETE_BLOB
    kGetOrCreateTag = Op.CREATE_TAG
    kDelTag = Op.DELETE_TAG
    kGetTagSize = Op.GET_TAG_SIZE
    kGetBlobScore = Op.GET_BLOB_SCORE
    kGetBlobSize = Op.GET_BLOB_SIZE
    kGetContainedBlobs = Op.GET_CONTAINED_BLOBS
    kReorganizeBlob = Op.MOVE_BLOB
    kGetBlobInfo = Op.GET_BLOB_INFO
    kQuery = Op.QUERY


class BdevType(IntEnum):
    kFile = 0
    kRam = 1


class UniqueId:
    """Two numbers of 32 bits: TagId, BlobId and PoolId are it too."""

    __slots__ = ("major_", "minor_")

    def __init__(self, major=0, minor=0):
        self.major_, self.minor_ = major, minor

    @staticmethod
    def GetNull():
        return UniqueId()

    def ToU64(self):
        return _plain(self).to_u64()

    def IsNull(self):
        return _plain(self).is_null

    def __eq__(self, other):
        return _plain(self) == _plain(other) if isinstance(other, UniqueId) else NotImplemented

    def __hash__(self):
        return hash(_plain(self))

    def __repr__(self):
        return f"UniqueId({self.major_}, {self.minor_})"


TagId = BlobId = PoolId = UniqueId


class PoolQuery:
    """Which nodes a call is for."""

    def __init__(self, query=routing.PoolQuery.local()):
        self.query = query

    @staticmethod
    def Broadcast(net_timeout=-1):
        return PoolQuery(routing.PoolQuery.broadcast(None if net_timeout < 0 else net_timeout))

    @staticmethod
    def Dynamic(net_timeout=-1):
        return PoolQuery(routing.PoolQuery("dynamic", (), None if net_timeout < 0 else net_timeout))

    @staticmethod
    def Local():
        return PoolQuery()

    def __repr__(self):
        return f"PoolQuery({str(self.query)!r})"


class CteTelemetry(NamedTuple):
    """One operation; times: ns since 1970."""

    op_: CteOp
    off_: int
    size_: int
    tag_id_: UniqueId
    mod_time_: int
    read_time_: int
    logical_time_: int


class Client:
    """Calls of the store as a whole. Those that answer with bool or a code raise nothing that the store says."""

    def PollTelemetryLog(self, minimum_logical_time):
        """[CteTelemetry] from that logical time on, ascending."""
        return [CteTelemetry(CteOp(entry.op), entry.off, entry.size, UniqueId(*entry.tag_id), *entry[4:])
                for entry in _client().poll_telemetry_log(minimum_logical_time).entries]

    def ReorganizeBlob(self, tag_id, blob_name, new_score):
        return _code("reorganize_blob", _plain(tag_id), blob_name, new_score) == 0

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
        return _code("del_blob", _plain(tag_id), blob_name) == 0

    # of the reference's later versions; errors are raised: those of wrp.errors

    def GetOrCreateTagAlias(self, tag_id, alias_name):
        """The tag's id: it has one more name."""
        return UniqueId(*_client().get_or_create_tag_alias(_plain(tag_id), alias_name))

    def GetNumAliases(self, tag_id):
        """How many names a tag has."""
        return _client().get_num_aliases(_plain(tag_id))

    def GetTagName(self, tag_id):
        return _client().get_tag_name(_plain(tag_id))

    def RenameTag(self, tag_id, new_name):
        """The tag's id, which stays."""
        return UniqueId(*_client().rename_tag(_plain(tag_id), new_name))

    def DelTag(self, tag, recursive=False):
        """A tag by its id with all its names, or one of its names; `recursive`: also what is in the folder of that name."""
        _client().del_tag(_plain(tag) if isinstance(tag, UniqueId) else tag, recursive)

    def GetTagSize(self, tag_id):
        return _client().get_tag_size(_plain(tag_id))

    def TruncateBlob(self, tag_id, blob_name, size):
        _client().truncate_blob(_plain(tag_id), blob_name, size)

    def MultiPutBlob(self, tag_id, blob_names, data):
        """`data`: a list of bytes-likes, one for each name."""
        _client().multi_put_blob(_plain(tag_id), blob_names, data)

    def GetResidency(self, tag_id, blob_name, off, size):
        """True when the blob has all bytes of the range: there are no holes, what was never put between others are zeros."""
        return _client().get_residency(_plain(tag_id), blob_name, off, size)

    def GetCapacity(self):
        """(bytes of this node's targets, what is free of them)."""
        return tuple(_client().get_capacity())

    def Evict(self, target_name, nbytes):
        return _client().evict(target_name, nbytes)

    def TemporalSearch(self, since=0, until=None, max_blobs=0, tag_regex=".*"):
        """[(ns since 1970, tag, blob)], the oldest change first."""
        return list(map(tuple, _client().temporal_search(since, until, max_blobs, tag_regex)))

    def SemanticSearch(self, question, tag_regex=".*", blob_regex=".*", max_blobs=0):
        """[(score, tag, blob)], the best first (BM25)."""
        return list(map(tuple, _client().semantic_search(question, tag_regex, blob_regex, max_blobs)))


class Tag:
    """A tag by name, made if it isn't there, or by its id. Errors are raised: those of wrp.errors."""

    def __init__(self, tag):
        self._tag = clients.Tag(_plain(tag) if isinstance(tag, UniqueId) else tag, _client())

    def PutBlob(self, blob_name, data, off=0):
        """Store `data` (bytes-like; text as UTF-8): at 0 the whole blob, else that range of it."""
        _client()
        self._tag.put_blob(blob_name, data.encode() if isinstance(data, str) else data, off)

    def GetBlob(self, blob_name, size, off=0):
        """`bytes` of that range, which has to be there."""
        return self._tag.get_blob(blob_name, size, off)

    def PutSegments(self, blob_name, segments):
        """Put ranges [(off, data)] into a blob as one change."""
        _client().put_segments(self._tag.get_tag_id(), blob_name, segments)

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
    _client()
    return True


def initialize_cte(config_path="", pool_query=PoolQuery.Dynamic()):
    """Open the store with the configuration in `config_path` ("": as without it). True. Collective at the first call.

    UsageError where the store is open with another configuration; chimaera_init may come before, when the path is "" or WRP_RUNTIME_CONF names it.
    """
    if config_path:
        wanted = load(config_path)
        if _opened and not _opened[0].is_daemons and _client().store.config.path != wanted.path:
            raise UsageError(f"the store is open with another configuration than {config_path}: call initialize_cte first, or set WRP_RUNTIME_CONF")
        _config[:] = [wanted]
    _client()
    return True


def get_cte_client():
    """The Client. Collective where it opens the store."""
    _client()
    return Client()


def _client():
    """The client of the store, opened for writing; another one where it was opened anew."""
    if not _opened:
        _opened.append(borrow())
    store = _opened[0].writing(True, *_config)
    if not _client_of or _client_of[0].store is not store:
        _client_of[:] = [clients.Client(store)]
    return _client_of[0]


def _code(call, *args):
    try:
        getattr(_client(), call)(*args)
    except WrpError as error:
        return code_of(call, error)
    return 0


def _plain(tag_id):
    if not isinstance(tag_id, UniqueId):
        raise UsageError(f"an id is a UniqueId, not {type(tag_id).__name__}")
    return clients.UniqueId(tag_id.major_, tag_id.minor_)
