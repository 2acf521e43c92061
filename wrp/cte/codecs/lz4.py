"""LZ4 blocks by the package lz4: the fast mode, or the high-compression mode at 6 and 12."""

import lz4.block

from wrp.cte.codecs.contract import BALANCED, BEST, FAST, Base


class Lz4(Base):
    name = "lz4"
    _MODES = {FAST: {"mode": "default"}, BALANCED: {"mode": "high_compression", "compression": 6},
              BEST: {"mode": "high_compression", "compression": 12}}

    def encode(self, data):
        return lz4.block.compress(data, store_size=False, **self._MODES[self.preset])

    def _decode(self, data, raw_nbytes):
        return lz4.block.decompress(data, uncompressed_size=raw_nbytes)
