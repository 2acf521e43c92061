"""Codecs of Python's standard library: zlib, bzip2, lzma. Levels per preset are the reference's."""

import bz2
import lzma
import zlib

from wrp.cte.codecs.contract import BALANCED, BEST, FAST, Base


class Zlib(Base):
    """RFC 1950 streams, by `deflate` where its wheel is (three times as fast), else by zlib; each reads the other's."""

    name = "zlib"
    _LEVELS = {FAST: 1, BALANCED: 6, BEST: 9}

    def encode(self, data):
        level = self._LEVELS[self.preset]
        return bytes(_deflate.zlib_compress(data, level)) if _deflate else zlib.compress(data, level)

    def _decode(self, data, raw_nbytes):
        return _deflate.zlib_decompress(data, raw_nbytes) if _deflate else _bounded(zlib.decompressobj(), data, raw_nbytes)


class Bzip2(Base):
    name = "bzip2"
    _LEVELS = {FAST: 1, BALANCED: 6, BEST: 9}

    def encode(self, data):
        return bz2.compress(data, self._LEVELS[self.preset])

    def _decode(self, data, raw_nbytes):
        return _bounded(bz2.BZ2Decompressor(), data, raw_nbytes)


class Lzma(Base):
    """The xz container without its own check: frames have one."""

    name = "lzma"
    _LEVELS = {FAST: 0, BALANCED: 6, BEST: 9}

    def encode(self, data):
        return lzma.compress(data, check=lzma.CHECK_NONE, preset=self._LEVELS[self.preset])

    def _decode(self, data, raw_nbytes):
        return _bounded(lzma.LZMADecompressor(), data, raw_nbytes)


def _bounded(decompressor, data, raw_nbytes):
    """At most one byte more than `raw_nbytes`, whatever the stream claims: damaged bytes can't fill the memory."""
    return decompressor.decompress(data, raw_nbytes + 1)


try:
    import deflate as _deflate
except ImportError:
    _deflate = None
