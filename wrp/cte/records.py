"""The Python face of a record, of a blob or of a tag: made from the words of layout.py and back. No shared state here.

``extents`` say where the bytes are; ``durable`` says which extents the journal names. They differ while a blob is dirty
(its newest bytes are not in the journal) and while a clean blob also has a copy in ram. While a dirty blob is being
flushed, ``durable`` names both what the journal names and what it is about to name; the order counts in clean records only.
"""

import struct
from typing import NamedTuple

from wrp.comm.checksum import crc32_combine, hash128
from wrp.comm.fresh import HEAD_OF_BYTES
from wrp.cte import layout, names
from wrp.cte.layout import BLOB_KIND, DIRTY, JOURNALED, PINNED, TAG_KIND, TRANSFORMED
from wrp.cte.targetnumbers import RAM

TAG, BLOB = TAG_KIND, BLOB_KIND

_HEAD = struct.Struct("<7qd7q")
_SEPARATOR = "\0"


class Record(NamedTuple):
    """One tag or blob. ``extents`` and ``durable`` are tuples of (target, offset, nbytes, crc32). Times: wall clock, ns."""

    name: str               # "tag" or "tag\0blob"
    kind: int = BLOB
    stamp: int = 0          # generation
    size: int = 0
    checksum: int = 0
    score: float = 1.0
    extents: tuple = ()
    durable: tuple = ()
    dirty: bool = True
    pinned: bool = False    # somebody has, or had, a view of its ram: see views.py
    journaled: bool = False     # the journal may know the name: its removal must go there too
    created: int = 0
    read: int = 0           # when it was read last, and how often; readers write it, so a record put keeps what the catalog has
    reads: int = 0
    raw: int = 0            # bytes before a codec changed them into the ones stored; 0: none did
    codec: int = 0          # which one

    @property
    def tag(self):
        return self.name.partition(_SEPARATOR)[0]

    @property
    def blob(self):
        return self.name.partition(_SEPARATOR)[2]

    def but(self, **changes):
        return self._replace(**changes)

    def stamped(self, stamp, created):
        """The same as `but` with these two, in a third of its time."""
        return Record(*self[:2], stamp, *self[3:11], created, *self[12:])


def full_name(tag, blob=None):
    """The one name of a tag, or of a blob in it. UsageError for what is no text."""
    try:
        return tag if blob is None else tag + _SEPARATOR + blob
    except TypeError:
        names.checked("tag", tag), names.checked("blob", blob)
        raise


def encoded(name):
    """(bytes of a full name, their address, their number). The address is good as long as somebody has the bytes object."""
    try:
        data = name.encode()
    except UnicodeEncodeError:
        names.check_full(name)
        raise
    return data, id(data) + HEAD_OF_BYTES, len(data)


def key_of(name):
    """Two int64 words by which the catalog finds a full name."""
    return hash128(encoded(name)[0])


def combined_crc(extents):
    """crc32 of the bytes of all extents, in order."""
    if not extents:
        return 0
    value = extents[0][3]
    for _, _, nbytes, crc in extents[1:]:
        value = crc32_combine(value, crc, nbytes)
    return value


def pack(record):
    """The image of a record (see entries.py): bytes, a multiple of 8 of them."""
    tag, _, blob = record.name.partition(_SEPARATOR)
    tag, own = (tag.encode(), blob.encode()) if record.kind == BLOB else (b"", tag.encode())
    flags = DIRTY * record.dirty | PINNED * record.pinned | JOURNALED * record.journaled | TRANSFORMED * (record.raw > 0)
    words = [word for target, offset, nbytes, crc in record.extents + record.durable for word in (target << 32 | crc, offset, nbytes)]
    body = struct.pack(f"<{len(words)}q{_padded(own)}s{_padded(tag)}s", *words, own, tag)
    return _HEAD.pack(_HEAD.size + len(body), *key_of(record.name), record.kind | flags << 8 | len(own) << 32, record.stamp, record.size,
                      record.checksum | record.codec << 32, record.score, record.created, record.read, record.reads, record.raw, len(tag), 0,
                      len(record.extents) | len(record.durable) << 32) + body


def _padded(name):
    return -(-len(name) // 8) * 8


def packed_nbytes(record):
    """At most so many bytes of the catalog does the record take, also once its extents are durable."""
    count = 2 * max(len(record.extents), len(record.durable))
    return layout.HEAD + layout.EXTENT * count + len(record.name.encode()) + 8


def unpack(data, start=0, name=None):
    """The Record at `start` of `data`, as the catalog copies it out. Without the full `name`, the tag's name stands behind the record."""
    (_, _, _, shape, stamp, size, check, score, created, read, reads, raw, tag_nbytes, _, counts) = _HEAD.unpack_from(data, start)
    count, durable_count = counts & layout.LOW, counts >> 32
    words = struct.unpack_from(f"<{3 * (count + durable_count)}q", data, start + _HEAD.size)
    extents = tuple((word >> 32, offset, nbytes, word & layout.LOW) for word, offset, nbytes in zip(*[iter(words)] * 3))
    kind, flags = shape & 0xFF, shape >> 8 & 0xFFFFFF
    if kind == TAG:
        size = check = raw = 0      # of a tag they are the bytes, the number and the first of its blobs
    if name is None:
        name = _name(data, start + _HEAD.size + 8 * len(words), shape >> 32 & 0xFFFF, tag_nbytes if kind == BLOB else 0)
    return Record(name, kind, stamp, size, check & layout.LOW, score, extents[:count], extents[count:], bool(flags & DIRTY),
                  bool(flags & PINNED), bool(flags & JOURNALED), created, read, reads, raw, check >> 32)


def _name(data, start, own_nbytes, tag_nbytes):
    own = bytes(data[start:start + own_nbytes]).decode()
    if not tag_nbytes:
        return own
    start += -(-own_nbytes // 8) * 8
    return bytes(data[start:start + tag_nbytes]).decode() + _SEPARATOR + own


def unpack_all(data, count=None):
    """Records that stand one behind the other, each with the number of its bytes as its first word: all, or the first `count`."""
    found, start = [], 0
    while start < len(data) if count is None else len(found) < count:
        found.append(unpack(data, start))
        start += int.from_bytes(data[start:start + 8], "little")
    return found


def to_plain(record):
    """What the journal keeps of a durable record: a list that msgpack takes."""
    return [record.name, record.kind, record.stamp, record.size, record.checksum, record.score,
            [list(extent) for extent in record.durable], record.created, record.read, record.reads, record.raw, record.codec]


def from_plain(plain):
    """The Record; of a store of format 1, which kept no times, it was made when it was changed."""
    name, kind, stamp, size, checksum, score, durable, *rest = plain
    extents = tuple(tuple(extent) for extent in durable)
    return Record(name, kind, stamp, size, checksum, score, extents, extents, False, False, True, *(rest or (stamp,)))
