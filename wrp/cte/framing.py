"""Blobs that lie in the store as frames, compressed or encrypted: which ones, made from bytes and read as bytes. Stores without such blobs don't import this."""

from typing import NamedTuple

from wrp.comm.digests import crc32_of
from wrp.comm.refusals import let_out
from wrp.cte import pieces
from wrp.cte.codecs import frame, registry
from wrp.cte.codecs.compression import Compression, Outcome, compress
from wrp.errors import Corrupt, StoreError

ENCRYPTED_ONLY = 255            # codec number of a frame without a codec
_AT_ONCE = 4 << 20              # frames up to here are read as a whole


class Packed(NamedTuple):
    """A frame to store, and what its record says: raw bytes, codec number, checksum; `outcome` is for the caller."""

    data: bytes
    raw: int
    codec: int
    checksum: int
    outcome: Outcome


class Framing:
    """How the blobs of one store are transformed. `tags`: {tag: Compression}; `cipher`: of an encrypted store, or None."""

    def __init__(self, tiers, codecs=(), cipher=None):
        self._tiers, self.cipher = tiers, cipher
        self.tags = {tag: Compression.of(config) for tag, config in dict(codecs).items()}

    @property
    def is_needed(self):
        """False when blobs are put as they are unless somebody asks for more."""
        return bool(self.tags) or self.cipher is not None

    def pack(self, name, tag, data, compression=None):
        """(Packed or None, Outcome) for the blob of the full name: None when the bytes are to be stored as they are."""
        wanted = Compression.of(compression) if compression is not None else self.tags.get(tag)
        nbytes = len(data)
        if not nbytes or wanted is None and self.cipher is None:
            return None, Outcome(nbytes, nbytes, "none", 0, 0.0)
        framed, outcome = compress(data, wanted, self.cipher, name.encode())
        if framed is None:
            return None, outcome
        number = ENCRYPTED_ONLY if outcome.codec == "none" else registry.NUMBERS[outcome.codec.removeprefix("shuffle+")]
        # the checksum of secret bytes would tell about them
        checksum = crc32_of(framed if self.cipher is not None else data)
        return Packed(framed, nbytes, number, checksum, outcome), outcome

    def read(self, record, offset, out):
        """Fill `out` with the raw bytes from `offset` of the blob of `record`. Corrupt, or StoreError where a key or a codec's library isn't there."""
        source = self._source(record)
        try:
            frame.parse(source, record.size).read(source, offset, out, self.cipher, record.name.encode())
        except (Corrupt, StoreError) as error:
            let_out(error)
            raise type(error)(f"blob {record.blob!r} of tag {record.tag!r}: {error}") from None

    def _source(self, record):
        def stored(start, nbytes):
            found = bytearray(nbytes)
            pieces.read(self._tiers, record, start, found)
            return memoryview(found)

        if record.size > _AT_ONCE:
            return stored
        whole = stored(0, record.size)
        return lambda start, nbytes: whole[start:start + nbytes]


def codec_name(number):
    """Of a record's codec number."""
    return "none" if number == ENCRYPTED_ONLY else registry.name_of(number)[0]
