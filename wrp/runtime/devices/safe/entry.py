"""Entries: what stands of each chunk on its member, a checksum and the number of the write."""

import numpy as np

from wrp.comm.checksum import crc32

ENTRY = np.dtype([("crc", "<u4"), ("seq", "<u4")])     # (0, 0): nobody has written the chunk; (0, n): zeros that aren't there as bytes
_NO_CRC = 0xFFFFFFFF            # of bytes whose checksum is 0


def checksum(chunk):
    """That of an entry, never 0."""
    return crc32(chunk) or _NO_CRC


def entry_of(seq, *crcs):
    """Bytes of entries, one for each chunk."""
    return np.array([(crc, seq & 0xFFFFFFFF) for crc in crcs], ENTRY).tobytes()
