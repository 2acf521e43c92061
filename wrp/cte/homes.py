"""Homes: the one node whose catalog has a name's record. Pure."""

from functools import lru_cache

from wrp.comm.checksum import hash64
from wrp.cte.names import HIDDEN
from wrp.cte.records import BLOB, encoded, full_name

_CACHED = 1 << 14
_WORD = (1 << 64) - 1


@lru_cache(_CACHED)
def home_of(tag, blob, nodes):
    """Number of the home of a blob, or, where `blob` is None, of a tag: the node of container `direct_hash` of its full name."""
    return (hash64(encoded(full_name(tag, blob))[0]) & _WORD) % nodes


def at_home(records, ranks):
    """A predicate: the record belongs into the catalog of this node. A tag does where it is at home itself, or one of its blobs is; what names stand for, everywhere."""
    def is_mine(record):
        return record.tag == HIDDEN or home_of(record.tag, record.blob if record.kind == BLOB else None, ranks.nodes) == ranks.node

    tags = {record.tag for record in records if is_mine(record)}
    return lambda record: is_mine(record) if record.kind == BLOB else record.tag in tags
