"""The reference's Context of a put: how its bytes are compressed, and what came of it. Compresses nothing."""

from dataclasses import dataclass


@dataclass
class Context:
    """dynamic_compress: 0 off, 1 with compress_lib (the reference's number), 2 as samples say; compress_preset: 1 to 3 (see compression.md).

    The fields from `actual_original_size` on are filled in by the put. The reference's other fields (traces, consumer node,
    placement by persistence) have no counterpart here.
    """

    dynamic_compress: int = 0
    compress_lib: int = 0
    compress_preset: int = 2
    target_psnr: float = 0.0
    max_performance: bool = False
    data_type: str = None
    actual_original_size: int = 0
    actual_compressed_size: int = 0
    actual_compression_ratio: float = 1.0
    actual_compress_time_ms: float = 0.0
    actual_psnr_db: float = 0.0

    def compression(self):
        """The codecs.Compression, None: what the tag has. UsageError for numbers that the reference doesn't know."""
        if not self.dynamic_compress:
            return None
        from wrp.cte.codecs import Compression

        return Compression.from_context(self.dynamic_compress, self.compress_lib, self.compress_preset, self.target_psnr, self.max_performance,
                                        self.data_type)

    def fill(self, nbytes, outcome):
        """What a put of `nbytes` bytes has come to; `outcome`: codecs.Outcome, None where the put compressed nothing."""
        self.actual_original_size = self.actual_compressed_size = nbytes
        self.actual_compression_ratio, self.actual_compress_time_ms, self.actual_psnr_db = 1.0, 0.0, 0.0
        if outcome is not None:
            self.actual_original_size, self.actual_compressed_size = outcome.original_nbytes, outcome.stored_nbytes
            self.actual_compression_ratio, self.actual_compress_time_ms = outcome.ratio, outcome.seconds * 1e3
            self.actual_psnr_db = outcome.psnr_db
