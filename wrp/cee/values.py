"""Values of the reference's Python binding of the CTE: what its calls take and give, made of what those of wrp.cte.client give."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, IntEnum

from wrp.comm.sizes import whole
from wrp.cte import client as clients
from wrp.cte.given import pairs_of
from wrp.cte.names import matcher
from wrp.cte.telemetry import Op
from wrp.errors import NoSuchTag, UsageError
from wrp.runtime import routing


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
    __str__ = Enum.__str__          # scripts look for the name in it


class BdevType(IntEnum):
    kFile = 0
    kRam = 1
    __str__ = Enum.__str__


class UniqueId:
    """Two numbers of 32 bits: TagId, BlobId and PoolId are it too."""

    __slots__ = ("major_", "minor_")

    def __init__(self, major=0, minor=0):
        self.major_, self.minor_ = major, minor

    @staticmethod
    def GetNull():
        return UniqueId()

    def ToU64(self):
        return plain(self).to_u64()

    def IsNull(self):
        return plain(self).is_null

    def __eq__(self, other):
        return plain(self) == plain(other) if isinstance(other, UniqueId) else NotImplemented

    def __hash__(self):
        return hash(plain(self))

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
    def Local(parallelism=32):
        return PoolQuery()

    def __repr__(self):
        return f"PoolQuery({str(self.query)!r})"


class CteTelemetry:
    """One operation; times are timedelta, as there, since 1970. Its fields are the arguments, with `_` behind their names."""

    __slots__ = ("op_", "off_", "size_", "tag_id_", "mod_time_", "read_time_", "logical_time_")

    def __init__(self, op=CteOp.kPutBlob, off=0, size=0, tag_id=None, mod_time=timedelta(), read_time=timedelta(), logical_time=0):
        self.op_, self.off_, self.size_, self.tag_id_ = op, off, size, UniqueId() if tag_id is None else tag_id
        self.mod_time_, self.read_time_, self.logical_time_ = mod_time, read_time, logical_time

    def __repr__(self):
        return f"CteTelemetry({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


@dataclass(repr=False)
class SemanticSearchResult:
    """A blob with words of the question; the highest `score` is the best."""

    tag_id: UniqueId = field(default_factory=UniqueId)
    blob_name: str = ""
    score: float = 0.0

    def __repr__(self):
        return f"SemanticSearchResult({_shown(self)}, score={self.score:f})"


@dataclass(repr=False)
class TemporalSearchResult:
    """A blob and when it was changed last, in ns since 1970."""

    tag_id: UniqueId = field(default_factory=UniqueId)
    blob_name: str = ""
    last_modified: int = 0

    def __repr__(self):
        return f"TemporalSearchResult({_shown(self)}, last_modified={self.last_modified})"


def _shown(result):
    return f"tag_id=({result.tag_id.major_},{result.tag_id.minor_}), blob_name={result.blob_name!r}"


def plain(tag_id):
    """The wrp.cte.client.UniqueId. UsageError."""
    if not isinstance(tag_id, UniqueId):
        raise UsageError(f"an id is a UniqueId, not {type(tag_id).__name__}")
    return clients.UniqueId(tag_id.major_, tag_id.minor_)


def bytes_in(data):
    """The data of a put: text is its UTF-8, as there; everything else stays what it is."""
    return data.encode() if isinstance(data, str) else data


def rows_in(data):
    """The same of a list of them."""
    return [bytes_in(each) for each in data] if isinstance(data, (list, tuple)) else data


def segments_in(segments, blob):
    """The same of ranges [(off, data)] of a blob. UsageError."""
    return [(off, bytes_in(data)) for off, data in pairs_of(segments, f"ranges of blob {blob!r:.80}")]


def telemetry_of(log):
    """[CteTelemetry] of a TelemetryLog."""
    return [CteTelemetry(CteOp(entry.op), entry.off, entry.size, UniqueId(*entry.tag_id), _time(entry.mod_time), _time(entry.read_time), entry.logical_time)
            for entry in log.entries]


def found_by_words(client, tag_regex, blob_regex, query_text, k):
    found = client.semantic_search(query_text, tag_regex, blob_regex, k)
    ids = _ids(client, found)
    return [SemanticSearchResult(ids[each.tag], each.blob, each.score) for each in found if each.tag in ids]


def found_by_time(client, tag_regex, blob_regex, time_begin, time_end, max_entries):
    begin, end = whole(time_begin, "the time to begin at:", 0), whole(time_end, "the time to end at:", 0)
    limit, fits = whole(max_entries, "the most entries:", 0), matcher("blob", blob_regex)
    found = [each for each in client.temporal_search(begin, end + 1 if end else None, 0, tag_regex) if fits(each.blob)][:limit or None]
    ids = _ids(client, found)
    return [TemporalSearchResult(ids[each.tag], each.blob, each.stamp) for each in found if each.tag in ids]


def _ids(client, found):
    """{tag: its UniqueId}, without those that have gone meanwhile."""
    ids = {}
    for tag in {each.tag for each in found}:
        with suppress(NoSuchTag):
            ids[tag] = UniqueId(*clients.UniqueId.from_u64(client.store.tag_stamp(tag)))
    return ids


def _time(ns):
    return timedelta(microseconds=ns // 1000)
