"""The record of a blob (or of a tag) as it lies in a node's catalog, and its Python face. No shared state here.

Layout, little-endian 64-bit words; a record is never changed in place, a change writes a new one:

    0 crc32 of all that follows    1 nbytes of the record     2,3 key (hash128 of the full name)
    4 kind: 1 tag, 2 blob          5 flags, see below         6 hash64 of the tag's name
    7 stamp                        8 size in bytes            9 crc32 of the blob's bytes
    10 score (float64)             11 number of extents       12 number of durable extents
    13 nbytes of the name
    14… extents, durable extents: (target, offset, nbytes, crc32) each; then the name, UTF-8, padded to 8

``extents`` say where the bytes are; ``durable`` says which extents the journal names. They differ while a blob is dirty
(its newest bytes are not in the journal) and while a clean blob also has a copy in ram. While a dirty blob is being
flushed, ``durable`` names both what the journal names and what it is about to name; the order counts in clean records only.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

from wrp.comm.checksum import crc32, crc32_combine, hash64, hash128

TAG, BLOB = 1, 2
DIRTY, PINNED, JOURNALED = 1, 2, 4
RAM = 0                     # target number of the node's ram; files count from 1
HEAD_WORDS = 14
CRC, NBYTES, KEY0, KEY1, KIND, FLAGS, TAG_HASH, STAMP, SIZE = range(9)

_HEAD = struct.Struct("<qqqqqqqqqqdqqq")
_CRC = struct.Struct("<q")
_SEPARATOR = "\0"
_CACHED = 1 << 14               # names whose hashes a process remembers: the next call often has one of the last names


class Record(NamedTuple):
    """One tag or blob. ``extents`` and ``durable`` are tuples of (target, offset, nbytes, crc32)."""

    name: str               # "tag" or "tag\0blob"
    kind: int = BLOB
    stamp: int = 0
    size: int = 0
    checksum: int = 0
    score: float = 1.0
    extents: tuple = ()
    durable: tuple = ()
    dirty: bool = True
    pinned: bool = False    # somebody has a view of its ram
    journaled: bool = False     # the journal may know the name: its removal must go there too

    @property
    def tag(self):
        return self.name.partition(_SEPARATOR)[0]

    @property
    def blob(self):
        return self.name.partition(_SEPARATOR)[2]

    @property
    def key(self):
        return key_of(self.name)

    def but(self, **changes):
        return self._replace(**changes)


def full_name(tag, blob=None):
    """The one name of a tag, or of a blob in it."""
    return tag if blob is None else tag + _SEPARATOR + blob


@lru_cache(_CACHED)
def key_of(name):
    """Two int64 words by which the index finds a full name."""
    return hash128(name.encode())


@lru_cache(_CACHED)
def tag_hash(tag):
    return hash64(tag.encode())


def combined_crc(extents):
    """crc32 of the bytes of all extents, in order."""
    if not extents:
        return 0
    value = extents[0][3]
    for _, _, nbytes, crc in extents[1:]:
        value = crc32_combine(value, crc, nbytes)
    return value


def pack(record):
    """The record's bytes, a multiple of 8 of them."""
    full, kind, stamp, size, checksum, score, extents, durable, dirty, pinned, journaled = record
    name = full.encode()
    words = [word for extent in extents + durable for word in extent]
    padded = -(-len(name) // 8) * 8
    nbytes = _HEAD.size + 8 * len(words) + padded
    flags = DIRTY * dirty | PINNED * pinned | JOURNALED * journaled
    body = struct.pack(f"<qqqqqqqqqdqqq{len(words)}q{padded}s", nbytes, *key_of(full), kind, flags,
                       tag_hash(record.tag), stamp, size, checksum, score, len(extents), len(durable), len(name), *words, name)
    return _CRC.pack(crc32(body)) + body


def packed_nbytes(record):
    """At most so many bytes does `pack` return, also once the record's extents are durable."""
    return _HEAD.size + 64 * max(len(record.extents), len(record.durable)) + len(record.name.encode()) + 8


def unpack(data):
    """The Record in `data`, or None when the bytes are torn (copied while they were replaced)."""
    if len(data) < _HEAD.size:
        return None
    (crc, nbytes, _, _, kind, flags, _, stamp, size, checksum, score,
     count, durable_count, name_nbytes) = _HEAD.unpack_from(data)
    if nbytes != len(data) or crc32(data[8:]) != crc:
        return None
    words = struct.unpack_from(f"<{4 * (count + durable_count)}q", data, _HEAD.size)
    extents = tuple(zip(*[iter(words)] * 4))
    start = _HEAD.size + 8 * len(words)
    name = bytes(data[start:start + name_nbytes]).decode()
    return Record(name, kind, stamp, size, checksum, score, extents[:count], extents[count:], bool(flags & DIRTY),
                  bool(flags & PINNED), bool(flags & JOURNALED))


def to_plain(record):
    """What the journal keeps of a durable record: a list that msgpack takes."""
    return [record.name, record.kind, record.stamp, record.size, record.checksum, record.score,
            [list(extent) for extent in record.durable]]


def from_plain(plain):
    name, kind, stamp, size, checksum, score, durable = plain
    extents = tuple(tuple(extent) for extent in durable)
    return Record(name, kind, stamp, size, checksum, score, extents, extents, dirty=False, journaled=True)
