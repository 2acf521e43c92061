"""Entries: what stands of each chunk on its member, a checksum and the number of the write."""

import struct

import numpy as np

from wrp.comm.digests import crc32_of

ENTRY = np.dtype([("crc", "<u4"), ("seq", "<u4")])     # (0, 0): nobody has written the chunk; (0, n): zeros that aren't there as bytes
NO_CRC = 0xFFFFFFFF            # of bytes whose checksum is 0


def checksum(chunk):
    """That of an entry, never 0."""
    return crc32_of(chunk) or NO_CRC


def entry_of(seq, *crcs):
    """Bytes of entries, one for each chunk."""
    return struct.pack(f"<{2 * len(crcs)}I", *(word for crc in crcs for word in (crc, seq & 0xFFFFFFFF)))
