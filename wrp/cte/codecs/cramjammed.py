"""Codecs by the package cramjam: zstd, brotli, snappy. They let go of the GIL."""

import cramjam

from wrp.cte.codecs.contract import BALANCED, BEST, FAST, Base


class _Cramjam(Base):
    _LEVELS = {FAST: 1, BALANCED: 3, BEST: 19}

    def encode(self, data):
        return bytes(self._library.compress(_view(data), level=self._LEVELS[self.preset]))

    def decode(self, data, raw_nbytes, out=None):
        target = bytearray(raw_nbytes) if out is None else out
        try:
            count = self._library.decompress_into(_view(data), memoryview(target).cast("B")) if raw_nbytes else 0
        except cramjam.DecompressionError as error:
            raise ValueError(f"{self.name} can't decode {len(data)} bytes: {error}") from None
        if count != raw_nbytes:
            raise ValueError(f"{self.name} decoded {count} bytes instead of {raw_nbytes}")
        return bytes(target) if out is None else out


class Zstd(_Cramjam):
    name = "zstd"
    _library = cramjam.zstd


class Brotli(_Cramjam):
    name = "brotli"
    _library = cramjam.brotli
    _LEVELS = {FAST: 1, BALANCED: 5, BEST: 11}


class Snappy(_Cramjam):
    """Raw snappy blocks; one mode for all presets, as the format has."""

    name = "snappy"

    def encode(self, data):
        return bytes(cramjam.snappy.compress_raw(_view(data)))

    class _library:
        decompress_into = staticmethod(cramjam.snappy.decompress_raw_into)


def _view(data):
    # cramjam takes contiguous bytes only
    return memoryview(data).cast("B")
