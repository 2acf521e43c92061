"""Bytes that stand in journals beside the records that name them: how they are packed, found, and taken to their places again. Decides nothing.

A flush of few bytes writes them to their place and into the journal, and syncs the journal alone. Until the data file is synced, too, the journal is the
only place where they are for certain, so `restore` writes them to their place once more before a journal goes, and who may not write reads them there.
"""

import os

from wrp.comm.digests import crc32_of
from wrp.comm.lasting import write_all
from wrp.comm.refusals import is_refusal, tolerant
from wrp.errors import StoreError

_BEGIN = b"WRP"                 # of the word that a frame begins with


def pack(data):
    """`data` (bytes) so that no frame begins in it, whatever stands before and after: who looks for frames behind a torn one finds none of a user's."""
    return b"\0" + data.replace(_BEGIN, _BEGIN + b"\0") + b"\0"


def unpack(packed):
    return packed[1:-1].replace(_BEGIN + b"\0", _BEGIN)


def carried(changes):
    """{extent: its bytes} of changes that hold bytes. ValueError, TypeError for what `pack` and `Handfuls` don't make."""
    found = {}
    for change in changes:
        for plain, packed in zip(change.get("put", ()), change.get("bytes", ()), strict="bytes" in change):
            data, position = unpack(packed), 0
            for extent in map(tuple, plain[6]):
                part = data[position:position + extent[2]]
                if len(part) != extent[2] or crc32_of(part) != extent[3]:
                    raise ValueError(f"bytes of {plain[0]!r:.60} that don't have their checksum")
                found[extent] = part
                position += extent[2]
    return found


def restore(path_of, extents):
    """Write bytes ({extent: bytes}) to their places and sync the files. StoreError, before anything is written, when one of the files isn't there.

    path_of : path of the data file of a number from 0
    """
    targets = sorted({extent[0] for extent in extents})
    for path in (path_of(target - 1) for target in targets):
        if not os.path.exists(path):
            raise StoreError(f"data file {path} isn't there, and journals hold bytes of blobs that belong in it: run where it is, or bring it back to this path")
    for target in targets:
        descriptor = os.open(path_of(target - 1), os.O_WRONLY | os.O_CLOEXEC)
        try:
            for extent, data in extents.items():
                if extent[0] == target:
                    write_all(descriptor, data, extent[1])
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def astray(path_of, extents):
    """Those of the bytes that aren't at their places, or can't be read there: {(target, offset, nbytes): bytes}."""
    found = {}
    for target in sorted({extent[0] for extent in extents}):
        descriptor = None
        with tolerant():
            descriptor = os.open(path_of(target - 1), os.O_RDONLY | os.O_CLOEXEC)
        try:
            found.update({extent[:3]: data for extent, data in extents.items() if extent[0] == target and not _stand_there(descriptor, extent, data)})
        finally:
            if descriptor is not None:
                os.close(descriptor)
    return found


def _stand_there(descriptor, extent, data):
    """descriptor : None where the file can't be opened"""
    try:
        return descriptor is not None and os.pread(descriptor, extent[2], extent[1]) == data
    except OSError as error:
        if not is_refusal(error):
            raise
        return False
