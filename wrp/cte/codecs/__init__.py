"""Compression of blobs: codecs behind one contract, frames that hold what they make, and the choice between them."""

from wrp.cte.codecs.compression import Compression, Outcome, compress
from wrp.cte.codecs.contract import BALANCED, BEST, FAST, PRESETS, Codec, Unsuited
from wrp.cte.codecs.registry import available, codec, from_config, known

__all__ = ["BALANCED", "BEST", "FAST", "PRESETS", "Codec", "Compression", "Outcome", "Unsuited", "available", "codec", "compress",
           "from_config", "known"]
