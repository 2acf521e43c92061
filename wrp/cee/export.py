"""Files out of contexts: one byte stream from a tag's blobs, or an HDF5 file rebuilt (see rebuild.py). Whole or not at all."""

import os
import re
import shlex
import sys

from wrp.cee.explore import LAYOUT
from wrp.cee.writing import aside, check_target, opened_to_write, reserve, told
from wrp.comm.lasting import write_all
from wrp.errors import Corrupt, NoSuchTag

DESCRIPTION = "description"
_PIECE = 8 << 20
_BINARY = re.compile(r"binary<size=(\d+), offset=\d+>")


def run(store, tag, path, ranks, force=False):
    """Write what the tag was made from to `path`; bytes written. Collective.

    An HDF5 context is rebuilt as a file of the same content, a ``file::`` context gives its bytes back, a dataset's tag
    its values as they were in the file, any other tag its blobs one after the other in natural order. The file appears under its name when it is whole.
    Raises NoSuchTag, UsageError (the file exists and `force` is false), Corrupt, OutOfSpace, WrpError.
    """
    with ranks.agreed(f"look at {tag} for the export"):
        if not store.exists(tag):
            raise NoSuchTag(f"no tag {tag!r} in the store; wrp_cee ls shows what there is")
        if ranks.rank == 0:
            check_target(path, force)
        rebuilt = store.exists(tag, LAYOUT)
    with aside(path, ranks) as temporary:
        if rebuilt:
            from wrp.cee import rebuild

            rebuild.run(store, tag, temporary, ranks)
        else:
            _write_stream(store, lambda: [(tag, *blob) for blob in stream_of(store, tag)], temporary, ranks)
    return ranks.share(os.path.getsize(path) if ranks.rank == 0 else None, "size of the export")


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


def notes(store, tag):
    """Sentences about what an export of the tag can't give back as it was taken in: a list, most often empty."""
    if not store.exists(tag, LAYOUT):
        return []
    from wrp.cae.hdf5 import layout

    elsewhere = {"virtual storage": "virtual", "external storage": "stored in other files"}
    return [f"{dataset.paths[0]} is {elsewhere[dataset.why]}: the exported file points at its sources again; its values as "
            f"taken in: wrp_cee retrieve {shlex.quote(re.escape(dataset.tag))} 'chunk_.*' --out FILE"
            for dataset in layout.unpack(store.get(tag, LAYOUT)).datasets if dataset.why in elsewhere]


def pieces_of(store, tag, blob, size):
    """(start, bytes) of a blob in pieces of at most 8 MiB, each checked by the store."""
    for start in range(0, size, _PIECE):
        yield start, store.get(tag, blob, start, min(_PIECE, size - start))


def stream_of(store, tag):
    """[(blob, size)] that make up the tag's byte stream: all blobs, but the chunks alone of what was taken in.

    Raises Corrupt when a ``file::`` context's chunks aren't as many bytes as its description says.
    """
    blobs = [(blob, store.size(tag, blob)) for _, blob in store.blobs(re.escape(tag))]
    chunks = [(blob, size) for blob, size in blobs if re.fullmatch(r"chunk_\d+", blob)]
    text = _text(store, tag)
    if text.startswith("tensor<") and len(chunks) == len(blobs) - 1:
        return chunks
    described = _BINARY.fullmatch(text)
    if not described:
        return blobs
    found, expected = sum(size for _, size in chunks), int(described[1])
    if found != expected:
        raise Corrupt(f"tag {tag!r} holds {found} bytes in its chunks and its description says {expected}: "
                      f"some were deleted or replaced; take the source in again")
    return chunks


def _text(store, tag):
    """The tag's description, or an empty text when it has none that could be one."""
    if not store.exists(tag, DESCRIPTION) or store.size(tag, DESCRIPTION) > 4096:
        return ""
    return store.get(tag, DESCRIPTION).decode("utf-8", "replace")


def _write_stream(store, blobs, path, ranks):
    """Every rank writes its share of `blobs()` = [(tag, blob, size)], runs of neighbours of about as many bytes. Collective."""
    with ranks.agreed(f"make room for {path}"), told(path):
        blobs = blobs()
        total = sum(size for *_, size in blobs)
        if ranks.rank == 0:
            reserve(path, total)
    ranks.barrier("export begins")
    with ranks.agreed(f"write {path}"), told(path), opened_to_write(path) as descriptor:
        offset = 0
        for tag, blob, size in blobs:
            if size and offset * ranks.size // total == ranks.rank:
                for start, piece in pieces_of(store, tag, blob, size):
                    write_all(descriptor, piece, offset + start)
                    ranks.tick()
            offset += size
