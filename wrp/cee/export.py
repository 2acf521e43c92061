"""Files out of contexts: one byte stream from a tag's blobs, or an HDF5 file rebuilt (see rebuild.py). Whole or not at all."""

import os
import re
import sys
import uuid
from contextlib import contextmanager

from wrp.cee.explore import LAYOUT
from wrp.cee.writing import opened_to_write, pwrite_all, reserve, sync_folder, told
from wrp.errors import Corrupt, NoSuchTag, UsageError

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
            _check_target(path, force)
        rebuilt = store.exists(tag, LAYOUT)
    with _aside(path, ranks) as temporary:
        if rebuilt:
            from wrp.cee import rebuild

            rebuild.run(store, tag, temporary, ranks)
        else:
            _write_stream(store, tag, temporary, ranks)
    return ranks.share(os.path.getsize(path) if ranks.rank == 0 else None, "size of the export")


def write_blobs(store, rows, out=None):
    """Bytes of the blobs of `rows` one after the other into the file `out` (None: standard output)."""
    if out is None:
        for piece in _pieces_of_rows(store, rows):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    with told(out), open(out, "wb") as file:
        for piece in _pieces_of_rows(store, rows):
            file.write(piece)


def pieces_of(store, tag, blob, size):
    """(start, bytes) of a blob in pieces of at most 8 MiB, each checked by the store."""
    for start in range(0, size, _PIECE):
        yield start, store.get(tag, blob, start, min(_PIECE, size - start))


def _pieces_of_rows(store, rows):
    return (piece for row in rows for _, piece in pieces_of(store, row.tag, row.blob, row.size))


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


def _write_stream(store, tag, path, ranks):
    """Every rank writes its share of the blobs, runs of neighbours of about as many bytes. Collective."""
    with ranks.agreed(f"make room for {path}"), told(path):
        blobs = stream_of(store, tag)
        total = sum(size for _, size in blobs)
        if ranks.rank == 0:
            reserve(path, total)
    ranks.barrier("export begins")
    with ranks.agreed(f"write {path}"), told(path), opened_to_write(path) as descriptor:
        offset = 0
        for blob, size in blobs:
            if size and offset * ranks.size // total == ranks.rank:
                for start, piece in pieces_of(store, tag, blob, size):
                    pwrite_all(descriptor, piece, offset + start)
                    ranks.tick()
            offset += size


def _check_target(path, force):
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder: name the file to write")
    if os.path.exists(path) and not force:
        raise UsageError(f"{path} exists: choose another name, or replace it with --force")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder} to write {os.path.basename(path)} into")


@contextmanager
def _aside(path, ranks):
    """A temporary name beside `path`, the same on every rank; renamed to `path` when no rank raised, else removed."""
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{ranks.share(uuid.uuid4().hex[:12], 'name of the export')}.part")
    try:
        yield temporary
        with ranks.agreed(f"finish {path}"), told(path):
            if ranks.rank == 0:
                os.replace(temporary, path)
                sync_folder(folder)
    finally:
        if ranks.rank == 0 and os.path.exists(temporary):
            os.unlink(temporary)
