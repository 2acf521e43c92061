"""Frames: how the bytes of a blob lie when they are compressed or encrypted. In pieces, so that a range needs only its own.

    head     magic "WRPT", u8 version, u8 flags, u8 codec, u8 preset, u8 itemsize of the shuffle, u8 kind of numbers (lossy), u16 0,
             u32 number of pieces, u32 bytes of a piece, u64 raw bytes, 8 bytes id of the key, u32 crc32 of the head and the table
    table    for each piece: u32 stored bytes (top bit: kept as it was), u32 crc32
    pieces   one after the other

Flags: 1 encrypted, 2 lossy. The crc32 is of a piece's raw bytes, so that decoding is checked too; of its stored bytes in an encrypted frame
(raw ones would tell about the content) and in a lossy one (they aren't the same again, and its decoders want to be fed what they made).
Codec numbers are the CTE's (registry.NUMBERS), 255 for none. All integers little-endian.
"""

import struct
from dataclasses import dataclass

from wrp.comm.digests import crc32_of
from wrp.comm.refusals import let_out
from wrp.cte.codecs import registry
from wrp.cte.codecs.contract import Unsuited
from wrp.errors import Corrupt, StoreError, UsageError

PIECE = 4 << 20
ENCRYPTED, LOSSY = 1, 2
_HEAD = struct.Struct("<4sBBBBBBHIIQ8s")
_CRC = struct.Struct("<I")
_ENTRY = struct.Struct("<II")
_MAGIC, _VERSION = b"WRPT", 1
_NONE, _AS_IT_WAS, _LENGTH = 255, 1 << 31, (1 << 31) - 1
_KINDS = {"<f4": 1, "<f8": 2}
_FIRST_LOOK = 4096


def encode(data, codec=None, cipher=None, name=b""):
    """The frame of contiguous bytes-like `data`, as bytes; None when it would be no smaller and nobody wants it encrypted.

    codec : a Codec, or None
    cipher : with `seal(piece, about)` and `open`, see crypt.py; or None
    name : bytes that belong to this blob alone; a frame encrypted under another name can't be opened
    """
    view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
    parts, table = [], []
    count = -(-len(view) // PIECE)
    for number in range(count):
        raw = view[number * PIECE:(number + 1) * PIECE]
        packed = _smaller(codec, raw)
        stored, kept = (raw, _AS_IT_WAS) if packed is None else (packed, 0)
        if cipher is not None:
            stored = cipher.seal(stored, _about(name, number, count, len(view), kept))
        of_stored = cipher is not None or codec is not None and codec.lossy and not kept
        parts.append(stored)
        table.append((len(stored) | kept, crc32_of(stored if of_stored else raw)))
    if cipher is None and all(length & _AS_IT_WAS for length, _ in table):
        return None
    head = _head(codec, cipher, count, len(view)) + b"".join(_ENTRY.pack(*entry) for entry in table)
    framed = b"".join([head, _CRC.pack(crc32_of(head)), *parts])
    return framed if cipher is not None or len(framed) < len(view) else None


def _smaller(codec, raw):
    if codec is None:
        return None
    try:
        packed = codec.encode(raw)
    except Unsuited:
        return None
    return packed if len(packed) < len(raw) else None


def _head(codec, cipher, count, nbytes):
    flags = (ENCRYPTED if cipher is not None else 0) | (LOSSY if codec is not None and codec.lossy else 0)
    config = codec.get_config() if codec is not None else {}
    number = registry.NUMBERS[config["id"].removeprefix("shuffle+")] if config else _NONE
    return _HEAD.pack(_MAGIC, _VERSION, flags, number, config.get("preset", 0), config.get("itemsize", 0),
                      _KINDS.get(config.get("dtype"), 0), 0, count, PIECE, nbytes, cipher.key_id if cipher is not None else bytes(8))


def _about(name, number, count, nbytes, kept):
    """What a piece's seal covers beside its bytes: which blob, which piece of how many, and how it is stored."""
    return struct.pack("<IIQI", number, count, nbytes, kept) + name


@dataclass(frozen=True)
class Frame:
    """The head and table of a frame. `nbytes`: raw; `codec`: a Codec or None; `key_id`: bytes or None."""

    nbytes: int
    piece_nbytes: int
    codec: object
    key_id: bytes
    lossy: bool
    starts: tuple               # of the stored pieces in the frame, and where the last one ends
    table: tuple                # (stored bytes, crc32, kept as it was) of each piece

    def read(self, source, offset, out, cipher=None, name=b""):
        """Fill `out` (writable bytes) with the raw bytes from `offset`; only the pieces that hold them are read and decoded.

        source : function (start, nbytes) -> bytes-like of the frame
        Corrupt when a piece isn't what was stored; StoreError when it wants a key that isn't there.
        """
        view = memoryview(out).cast("B")
        done = 0
        while done < len(view):
            number, skip = divmod(offset + done, self.piece_nbytes)
            raw_nbytes = min(self.piece_nbytes, self.nbytes - number * self.piece_nbytes)
            count = min(len(view) - done, raw_nbytes - skip)
            part = view[done:done + count]
            whole = part if count == raw_nbytes else bytearray(raw_nbytes)
            self._piece(number, source, whole, cipher, name)
            if whole is not part:
                part[:] = memoryview(whole)[skip:skip + count]
            done += count

    def _piece(self, number, source, out, cipher, name):
        length, crc, kept = self.table[number]
        stored = source(self.starts[number], length)
        of_stored = self.key_id is not None or self.lossy and not kept
        if of_stored and crc32_of(stored) != crc:
            raise Corrupt(f"piece {number} doesn't have the checksum it was stored with")
        if self.key_id is not None:
            if cipher is None:
                raise StoreError("it is encrypted and no key was given: name the key's file or variable")
            stored = cipher.open(stored, _about(name, number, len(self.table), self.nbytes, _AS_IT_WAS if kept else 0))
        try:
            if kept:
                memoryview(out)[:] = stored
            elif self.codec is None:
                raise ValueError("it names no codec")
            else:
                self.codec.decode(stored, len(out), out)
        except ValueError as error:
            let_out(error)
            raise Corrupt(f"piece {number} can't be decoded: {error}") from None
        if not of_stored and crc32_of(out) != crc:
            raise Corrupt(f"piece {number} doesn't have the checksum it was put with")


def parse(source, nbytes):
    """The Frame whose stored form has `nbytes` bytes, read by `source(start, nbytes)`. Corrupt when it is none or damaged."""
    data = bytes(source(0, min(nbytes, _FIRST_LOOK)))
    if len(data) < _HEAD.size or data[:4] != _MAGIC:
        raise Corrupt("these bytes are no frame of compressed or encrypted data")
    _, version, flags, number, preset, itemsize, kind, _, count, piece_nbytes, raw_nbytes, key_id = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise StoreError(f"it is a frame of version {version}, this wrp reads {_VERSION}; use the wrp that wrote it")
    end = _HEAD.size + count * _ENTRY.size
    if end + _CRC.size > nbytes:
        raise Corrupt("the frame's table is damaged")
    if end + _CRC.size > len(data):
        data = bytes(source(0, end + _CRC.size))
    if _CRC.unpack_from(data, end)[0] != crc32_of(data[:end]):
        raise Corrupt("the frame's head is damaged")
    table = tuple((length & _LENGTH, crc, bool(length & _AS_IT_WAS)) for length, crc in _ENTRY.iter_unpack(data[_HEAD.size:end]))
    starts = [end + _CRC.size]
    for length, _, _ in table:
        starts.append(starts[-1] + length)
    if starts[-1] != nbytes:
        raise Corrupt(f"the frame has {nbytes} bytes and its table says {starts[-1]}")
    return Frame(raw_nbytes, piece_nbytes, _codec_of(number, preset, itemsize, kind), key_id if flags & ENCRYPTED else None,
                 bool(flags & LOSSY), tuple(starts), table)


def decode(data, cipher=None, name=b""):
    """All raw bytes of a frame in memory, as a bytearray."""
    view = memoryview(data)
    source = lambda start, nbytes: view[start:start + nbytes]       # noqa: E731
    frame = parse(source, len(view))
    out = bytearray(frame.nbytes)
    frame.read(source, 0, out, cipher, name)
    return out


def _codec_of(number, preset, itemsize, kind):
    if number == _NONE:
        return None
    name, _ = registry.name_of(number)
    dtype = {value: key for key, value in _KINDS.items()}.get(kind)
    if itemsize > 1:
        dtype, name = f"V{itemsize}", name if name in ("blosc", "blosc2") else f"shuffle+{name}"
    try:
        return registry.codec(name, preset, dtype)
    except UsageError as error:
        let_out(error)
        raise StoreError(f"it is compressed: {error}") from None
