"""Frames: how records lie in a journal or snapshot file, so that a torn tail is found and cut.

Frame = u32 magic "WRPF", u32 crc32 of the payload, u64 nbytes of the payload, payload (msgpack). A frame is all or nothing.
"""

import struct

import msgpack

from wrp.comm.checksum import crc32

_HEAD = struct.Struct("<4sIQ")
MAGIC = b"WRPF"


def encode(value):
    payload = msgpack.packb(value)
    return _HEAD.pack(MAGIC, crc32(payload), len(payload)) + payload


def decode_all(data, pace=iter):
    """(values of the whole frames at the start of `data`, number of bytes they take). Values are dictionaries.

    pace : a function that gives the same items as an iterable, in its own time
    Raises ValueError for a whole frame that holds something else.
    """
    values, position = [], 0
    for payload in pace(_payloads(data)):
        values.append(_value(payload))
        position += _HEAD.size + len(payload)
    return values, position


def _payloads(data):
    position = 0
    while (payload := _payload_at(data, position)) is not None:
        yield payload
        position += _HEAD.size + len(payload)


def whole_at(data, position):
    """(value, end) of the whole frame at a position, or None where there is none that wrp writes."""
    payload = _payload_at(data, position)
    try:
        return None if payload is None else (_value(payload), position + _HEAD.size + len(payload))
    except ValueError:
        return None


def _payload_at(data, position):
    """What a frame at a position holds, None where no whole one stands there."""
    if position + _HEAD.size > len(data):
        return None
    magic, crc, nbytes = _HEAD.unpack_from(data, position)
    start = position + _HEAD.size
    payload = data[start:start + nbytes]
    return payload if magic == MAGIC and len(payload) == nbytes and crc32(payload) == crc else None


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
    start = data.find(MAGIC, position + 1)
    while start >= 0:
        try:
            if decode_all(data[start:])[0]:
                return True
        except ValueError:
            return True
        start = data.find(MAGIC, start + 1)
    return False
