"""Frames: how records lie in a journal or snapshot file, so that a torn tail is found and cut.

Frame = u32 magic "WRPF", u32 crc32 of the payload, u64 nbytes of the payload, payload (msgpack). A frame is all or nothing.
"""

import struct

import msgpack

from wrp.comm.checksum import crc32

_HEAD = struct.Struct("<4sIQ")
_MAGIC = b"WRPF"


def encode(value):
    payload = msgpack.packb(value)
    return _HEAD.pack(_MAGIC, crc32(payload), len(payload)) + payload


def decode_all(data):
    """(values of the whole frames at the start of `data`, number of bytes they take). Values are dictionaries.

    Raises ValueError for a whole frame that holds something else.
    """
    values, position = [], 0
    while position + _HEAD.size <= len(data):
        magic, crc, nbytes = _HEAD.unpack_from(data, position)
        start = position + _HEAD.size
        payload = data[start:start + nbytes]
        if magic != _MAGIC or len(payload) != nbytes or crc32(payload) != crc:
            break
        values.append(_value(payload))
        position = start + nbytes
    return values, position


def _value(payload):
    """What a frame holds."""
    try:
        value = msgpack.unpackb(payload, strict_map_key=False)
    except (msgpack.UnpackException, RecursionError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__}")
    return value


def follows(data, position):
    """True when a whole frame stands somewhere after `position`: then the bytes there are damaged, not a torn tail."""
    start = data.find(_MAGIC, position + 1)
    while start >= 0:
        try:
            if decode_all(data[start:])[0]:
                return True
        except ValueError:
            return True
        start = data.find(_MAGIC, start + 1)
    return False
