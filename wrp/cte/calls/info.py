"""BlobInfo and Child: what a store says of a blob, and of what is in a folder of tags."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from wrp.cte.names import natural
from wrp.cte.targetnumbers import kind_of


@dataclass(frozen=True)
class BlobInfo:
    """size: bytes; checksum: crc32 of them, in an encrypted store of the frame; stamp: the generation, grows with every change; tiers: where the bytes are.

    stored: bytes that they take; codec: what made them fewer ("none": they lie as they are, or encrypted only)
    stamp, created, read: wall clock in ns, read is 0 before the first get; reads: how many there were
    """

    size: int
    checksum: int
    score: float
    stamp: int
    tiers: tuple
    stored: int = 0
    codec: str = "none"
    created: int = 0
    read: int = 0
    reads: int = 0

    @property
    def generation(self):
        """What `if_generation` of a put takes: the stamp; 0 of a blob that a checkpoint tag shows of its source."""
        return self.stamp


def info_of(record):
    # durable extents of a dirty record hold older bytes
    places = record.extents if record.dirty else record.extents + record.durable
    tiers = tuple(sorted({kind_of(extent[0]) for extent in places}))
    times = record.created, record.read, record.reads
    if not record.raw:
        return BlobInfo(record.size, record.checksum, record.score, record.stamp, tiers, record.size, "none", *times)
    from wrp.cte.framing import codec_name

    return BlobInfo(record.raw, record.checksum, record.score, record.stamp, tiers, record.size, codec_name(record.codec), *times)


def info_in(tag, record):
    """The BlobInfo of a blob as a tag has it: of generation 0 where it is its source's."""
    about = info_of(record)
    return about if record.tag == tag else replace(about, stamp=0)


class Child(NamedTuple):
    """Something in a folder of tags: its full name; a tag, a folder with something in it, or both."""

    name: str
    is_tag: bool
    is_folder: bool


def children_of(head, tags):
    """[Child] of what follows `head` in names of tags that begin with it, in natural order."""
    found = {}
    for tag in tags:
        own, slash, _ = tag[len(head):].partition("/")
        is_tag, is_folder = found.get(head + own, (False, False))
        found[head + own] = is_tag or not slash, is_folder or bool(slash)
    return [Child(name, *found[name]) for name in sorted(found, key=natural)]
