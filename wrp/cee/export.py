"""Files out of contexts: one byte stream from a tag's blobs, or an HDF5 file rebuilt (see rebuild.py). Whole or not at all."""

import os
import re
import shlex
import sys

from wrp.cae import described
from wrp.cae.labels.rules import SUFFIX
from wrp.cee.explore import LAYOUT
from wrp.cee.filling import fill, pieces_of
from wrp.cee.writing import aside, check_target, reserve, told
from wrp.errors import Corrupt, NoSuchTag, UsageError

DESCRIPTION = "description"
FORMATS = ("hdf5", "binary")
_HDF5_NAMES = (".h5", ".hdf5", ".he5", ".nc")
_BINARY = re.compile(r"binary<size=(\d+), offset=\d+>")


def run(store, tag, path, ranks, force=False, form=""):
    """Write what the tag was made from to `path`; bytes written. Collective.

    An HDF5 context is rebuilt as a file of the same content, a ``file::`` context gives its bytes back, a dataset's tag
    its values as they were in the file, a self-describing dataset (`wrp.cae.described`) an HDF5 file with it, any other tag its blobs one after
    the other in natural order. The file appears under its name when it is whole.

    form : "hdf5" makes an HDF5 file of any tag, of those that were none one with a dataset of bytes for each blob; "binary" makes records of
    name and bytes of the tag's blobs
    Raises NoSuchTag, UsageError (the file exists and `force` is false), Corrupt, OutOfSpace, WrpError.
    """
    with ranks.agreed(f"look at {tag} for the export"):
        if not store.exists(tag):
            raise NoSuchTag(f"no tag {tag!r} in the store; wrp_cee ls shows what there is")
        if ranks.rank == 0:
            check_target(path, force)
        write = _way(store, tag, form)
    with aside(path, ranks) as temporary:
        write(store, tag, temporary, ranks)
    return ranks.share(os.path.getsize(path) if ranks.rank == 0 else None, "size of the export")


def _way(store, tag, form):
    """What writes the tag's file: function(store, tag, path, ranks)."""
    from wrp.cee import asked, rebuild

    if form not in ("", *FORMATS):
        raise UsageError(f"{form!r} is no format of an export; there are {' and '.join(FORMATS)}")
    if form == "binary":
        return asked.write_records
    if store.exists(tag, LAYOUT):
        return rebuild.run
    if store.exists(tag, described.BLOB):
        return asked.write_dataset
    return asked.write_blobs if form else _write_tag


def write_rows(store, rows, path, ranks, force=False):
    """Write the bytes of the blobs of `rows`, one after the other, to `path`, which appears when it is whole. Collective.

    Raises as `run`.
    """
    with ranks.agreed(f"look at {path}"):
        if ranks.rank == 0:
            check_target(path, force)
    with aside(path, ranks) as temporary:
        _write_stream(store, lambda: [(row.tag, row.blob, row.size) for row in rows], temporary, ranks)


def print_rows(store, rows):
    """Bytes of the blobs of `rows`, one after the other, to standard output."""
    for row in rows:
        for _, piece in pieces_of(store, row.tag, row.blob, row.size):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def notes(store, tag, path=""):
    """Sentences about what an export of the tag, to `path`, can't give back as it was taken in, or as its name says: a list, most often empty."""
    if not store.exists(tag, LAYOUT):
        return _misnamed(path)
    from wrp.cae.hdf5 import layout

    elsewhere = {"virtual storage": "virtual", "external storage": "stored in other files"}
    return [f"{dataset.paths[0]} is {elsewhere[dataset.why]}: the exported file points at its sources again; its values as "
            f"taken in: wrp_cee retrieve {shlex.quote(re.escape(dataset.tag))} 'chunk_.*' --out FILE"
            for dataset in layout.unpack(store.get(tag, LAYOUT)).datasets if dataset.why in elsewhere]


def _misnamed(path):
    if not os.fspath(path).lower().endswith(_HDF5_NAMES):
        return []
    import h5py

    return [] if h5py.is_hdf5(path) else [f"{path} is no HDF5 file, whatever its name: it has the bytes of blobs, one after the other; --format hdf5 makes one with a dataset for each blob"]


def stream_of(store, tag):
    """[(blob, size)] that make up the tag's byte stream: all blobs, but the chunks alone of what was taken in.

    Raises Corrupt when a ``file::`` context's chunks aren't as many bytes as its description says.
    """
    blobs = [(blob, store.size(tag, blob)) for _, blob in store.blobs(re.escape(tag))]
    chunks = [(blob, size) for blob, size in blobs if re.fullmatch(r"chunk_\d+", blob)]
    text = _text(store, tag)
    names = dict(blobs)
    if text.startswith("tensor<") and len(chunks) == sum(not _is_label(blob, names) for blob in names) - 1:
        return chunks
    described = _BINARY.fullmatch(text)
    if not described:
        return blobs
    found, expected = sum(size for _, size in chunks), int(described[1])
    if found != expected:
        raise Corrupt(f"tag {tag!r} holds {found} bytes in its chunks and its description says {expected}: "
                      f"some were deleted or replaced; take the source in again")
    return chunks


def _is_label(blob, names):
    """Whether it is the label of another one (`wrp.cae.labels`)."""
    return blob.endswith(SUFFIX) and blob[:-len(SUFFIX)] in names


def _text(store, tag):
    """The tag's description, or an empty text when it has none that could be one."""
    if not store.exists(tag, DESCRIPTION) or store.size(tag, DESCRIPTION) > 4096:
        return ""
    return store.get(tag, DESCRIPTION).decode("utf-8", "replace")


def _write_tag(store, tag, path, ranks):
    _write_stream(store, lambda: [(tag, *blob) for blob in stream_of(store, tag)], path, ranks)


def _write_stream(store, blobs, path, ranks):
    """Every rank writes its share of `blobs()` = [(tag, blob, size)], one after the other. Collective."""
    with ranks.agreed(f"make room for {path}"), told(path):
        places, end = [], 0
        for tag, blob, size in blobs():
            places.append((end, tag, blob, size))
            end += size
        if ranks.rank == 0:
            reserve(path, end)
    fill(store, places, path, ranks)
