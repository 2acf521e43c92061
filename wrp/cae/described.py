"""The reference's self-describing datasets: what is in the blob `__meta` of their tag, and how their chunks are called. Knows no store and no files.

`__meta` is 152 bytes: magic word, version, number of dimensions and kind of the elements (uint32 each), bytes of an element, 8 lengths, 8 lengths of a
chunk (uint64 each), little-endian. A chunk's name is its coordinates in the grid of chunks, joined with `_`; lengths are multiples of their chunk's.
"""

import re
from dataclasses import dataclass
from math import isqrt, log, prod

import numpy as np

from wrp.errors import Corrupt, SourceError

BLOB = "__meta"
_MAGIC, _VERSION, _MOST_DIMS = 0x4B564835, 1, 8
_RECORD = np.dtype([("magic", "<u4"), ("version", "<u4"), ("rank", "<u4"), ("kind", "<u4"), ("itemsize", "<u8"), ("shape", "<u8", 8), ("chunk", "<u8", 8)])
_KINDS = ("", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8")           # 0: bytes of any number
_NAME = re.compile(r"\d+(_\d+)*")
_LONGEST = 31                           # characters of a name
_TARGET_NBYTES = 1536 << 10             # of a chunk, where the file has none that fit
_MOST_TRIED = 1 << 21                   # divisors of a length


@dataclass(frozen=True)
class Meta:
    """A dataset: lengths, lengths of a chunk, dtype."""

    shape: tuple
    chunk: tuple
    dtype: np.dtype

    @property
    def grid(self):
        """How many chunks there are in each dimension."""
        return tuple(length // chunk for length, chunk in zip(self.shape, self.chunk))

    @property
    def chunk_nbytes(self):
        return prod(self.chunk) * self.dtype.itemsize

    def at(self, number):
        """Coordinates in the grid of a chunk, counted in C order."""
        return tuple(map(int, np.unravel_index(number, self.grid)))

    def name(self, number):
        """Of the chunk's blob."""
        return "_".join(map(str, self.at(number)))

    def pack(self):
        """The bytes of `__meta`."""
        record = np.zeros((), _RECORD)
        kind = _KINDS.index(_code(self.dtype))
        record["magic"], record["version"], record["rank"], record["kind"], record["itemsize"] = _MAGIC, _VERSION, len(self.shape), kind, self.dtype.itemsize
        record["shape"][:len(self.shape)], record["chunk"][:len(self.chunk)] = self.shape, self.chunk
        return record.tobytes()


def unpack(data, tag):
    """The Meta in the bytes of `__meta` of a tag. Corrupt."""
    if len(data) != _RECORD.itemsize:
        raise Corrupt(f"{BLOB} of tag {tag!r} has {len(data)} bytes, not {_RECORD.itemsize}: it describes no dataset")
    record = np.frombuffer(data, _RECORD)[0]
    rank, kind, itemsize = int(record["rank"]), int(record["kind"]), int(record["itemsize"])
    shape, chunk = (tuple(map(int, record[name][:rank])) for name in ("shape", "chunk"))
    is_whole = (record["magic"] == _MAGIC and record["version"] == _VERSION and 0 < rank <= _MOST_DIMS and kind < len(_KINDS) and 0 < itemsize < 1 << 31
                and (not kind or np.dtype(_KINDS[kind]).itemsize == itemsize)
                and all(0 < part <= length and length % part == 0 for length, part in zip(shape, chunk)))
    if not is_whole or prod(shape) * itemsize >= 1 << 63:
        raise Corrupt(f"{BLOB} of tag {tag!r} describes no dataset of version {_VERSION} ({rank} dimension(s) {shape}, chunks {chunk}, kind {kind} of {itemsize} bytes)")
    return Meta(shape, chunk, np.dtype(_KINDS[kind] or f"V{itemsize}"))


def is_chunk(name):
    """Whether a blob of this name is a chunk."""
    return _NAME.fullmatch(name) is not None


def of(shape, chunk, dtype, where):
    """The Meta of a dataset with these lengths, chunks (or None) and dtype. SourceError where it can't be one; `where` names it."""
    if not shape or not prod(shape):
        raise SourceError(f"{where} has no dimensions or no elements: as a self-describing dataset it can't be kept")
    if len(shape) > _MOST_DIMS:
        raise SourceError(f"{where} has {len(shape)} dimensions, a self-describing dataset at most {_MOST_DIMS}")
    if _code(dtype) is None:
        raise SourceError(f"{where} has elements of type {dtype}: those of a self-describing dataset are integers, floats of 4 or 8 bytes, or opaque")
    if chunk is None or any(length % part for length, part in zip(shape, chunk)):
        chunk = _chosen(shape, dtype.itemsize)
    meta = Meta(tuple(shape), tuple(chunk), np.dtype(_code(dtype) or dtype))
    if len("_".join(str(count - 1) for count in meta.grid)) > _LONGEST:
        raise SourceError(f"{where} has so many chunks, {meta.grid}, that their names would be longer than {_LONGEST} characters")
    return meta


def _code(dtype):
    """How the kind is written in `_KINDS`; None for a type that isn't there."""
    if dtype.kind == "V" and dtype.names is None and dtype.subdtype is None:
        return ""
    text = dtype.newbyteorder("<").str
    text = text.lstrip("|<") if dtype.itemsize == 1 else text
    return text if text in _KINDS[1:] else None


def _chosen(shape, itemsize):
    """Chunks that divide the lengths: whole rows, as near to 1.5 MiB as there are."""
    found = [(1,) * axis + (part,) + tuple(shape[axis + 1:]) for axis, length in enumerate(shape) for part in _divisors(length)]
    return min(found, key=lambda chunk: abs(log(prod(chunk) * itemsize / _TARGET_NBYTES)))


def _divisors(number):
    """All of them, but for lengths beyond 2**42 whose both factors are larger than any chunk here: who would look for these, would not come back."""
    tried = np.arange(1, min(isqrt(number), _MOST_TRIED) + 1)
    small = tried[number % tried == 0].tolist()
    return {*small, *(number // part for part in small)}
