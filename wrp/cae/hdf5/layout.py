"""The record kept beside an HDF5 context: where in the source file the bytes of its image and of its datasets were.

A source file of `nbytes` bytes is kept in two parts. The *image* is every byte that is not raw data of a dataset, as one stream
(`chunk_i` of the context's own tag): the runs `image_offsets`, `image_nbytes` one after the other. The raw data lies in the datasets'
streams (`chunk_i` of each dataset's tag), decoded, in C order and in the file's datatype. So a file is rebuilt by writing the image's
runs where they were and the raw data after `Dataset.storage`:

    contiguous   the stream's bytes at `offset` (None: never allocated, nothing to write)
    chunked      each chunk's elements at the chunk's offset; no filter; whole chunks, also at the edges
    gzip         like chunked, with shuffle and deflate; the encoded size may differ, so write these through HDF5
    kept         nothing to do: its raw data is in the image; `why` says for what reason
    left_out     not asked for by the transfer: its raw data is nowhere; take its links out of the rebuilt file

What a partial edge chunk holds beyond the dataset's extent is not kept; `fill` goes there.
"""

import zlib
from dataclasses import dataclass, field, fields

import msgpack
import numpy as np

from wrp.errors import StoreVersion, WrpError

BLOB = "layout"
_MAGIC = b"wrp-hdf5-layout\0"
_VERSION = 1
STORAGES = ("contiguous", "chunked", "gzip", "kept", "left_out")


@dataclass(eq=False)
class Chunks:
    """The allocated chunks of a dataset, in no promised order; n of them, of rank d."""

    coords: np.ndarray                  # (n, d) int64: the element each begins at
    offsets: np.ndarray                 # (n,) int64: in the file, in bytes
    sizes: np.ndarray                   # (n,) int64: as stored, in bytes
    masks: np.ndarray                   # (n,) int64: bit i set: filter i was skipped


@dataclass(eq=False)
class Dataset:
    """One dataset. `paths` are all hard links to it, from the root (undecodable bytes as surrogate escapes)."""

    paths: list
    tag: str                            # "" where it was left out
    shape: list                         # None: a null dataspace
    itemsize: int                       # bytes of one element in the file
    dtype: str                          # for people
    storage: str                        # one of STORAGES
    nbytes: int = 0                     # of its stream
    offset: int = None                  # contiguous
    chunk: list = None                  # chunk shape
    filters: list = field(default_factory=list)     # [code, values...] of each, in the pipeline's order
    chunks: Chunks = None               # chunked and gzip
    fill: bytes = b""                   # one element, as the file's datatype
    why: str = ""                       # kept


@dataclass(eq=False)
class Layout:
    """The whole file. `image_offsets` and `image_nbytes`: int64 arrays, ascending and disjoint."""

    nbytes: int
    image_offsets: np.ndarray
    image_nbytes: np.ndarray
    datasets: list

    def pack(self):
        """The bytes of the `layout` blob."""
        body = msgpack.packb(_plain(self), default=_plain, unicode_errors="surrogateescape")
        return _MAGIC + bytes([_VERSION]) + zlib.compress(body, 1)


def unpack(data):
    """The `Layout` of a `layout` blob. StoreVersion for another version's, WrpError for bytes that are none."""
    data = bytes(data)
    if not data.startswith(_MAGIC):
        raise WrpError("the blob 'layout' was not written by the HDF5 assimilator")
    version = data[len(_MAGIC)]
    if version != _VERSION:
        raise StoreVersion(f"the blob 'layout' has version {version}, this wrp reads {_VERSION}; use the wrp that wrote it")
    record = msgpack.unpackb(zlib.decompress(data[len(_MAGIC) + 1:]), unicode_errors="surrogateescape")
    record["datasets"] = [_dataset(entry) for entry in record["datasets"]]
    for name in ("image_offsets", "image_nbytes"):
        record[name] = _array(record[name])
    return Layout(**record)


def dataset_tags(data, tag):
    """Names of the dataset tags in the `layout` blob of the context `tag`; [] where the blob is somebody else's, as in a copy."""
    if not bytes(data[:len(_MAGIC)]) == _MAGIC:
        return []
    below = tag.rstrip("/") + "/"
    return [dataset.tag for dataset in unpack(data).datasets if dataset.tag.startswith(below) and dataset.tag != tag]


def _plain(value):
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "int64": value.astype("<i8").tobytes()}
    if isinstance(value, (np.integer, np.bool_)):
        return int(value)
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _array(record):
    return np.frombuffer(record["int64"], "<i8").reshape(record["shape"])


def _dataset(record):
    if record["chunks"] is not None:
        record["chunks"] = Chunks(**{name: _array(value) for name, value in record["chunks"].items()})
    return Dataset(**record)
