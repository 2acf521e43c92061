"""The reference's Context of a put: how its bytes are compressed, and what came of it. Compresses nothing."""

from dataclasses import dataclass

from wrp.cte.targets.wanted import LEVELS, ONLY
from wrp.errors import UsageError


@dataclass
class Context:
    """dynamic_compress: 0 off, 1 with compress_lib (the reference's number), 2 as samples say; compress_preset: 1 to 3 (see compression.md).

    min_persistence_level, persistence_target: a whole blob goes to targets of at least, or of just, this level (0 volatile, 1 temporary, 2 long_term; -1: any)
    emulate: nothing is put; the time that a put would take goes to `emulated_time_ms`, and where its bytes would go to `emulated_places` ((target, bytes), …)
    The fields from `actual_original_size` on are filled in by the put. The reference's other fields (traces, consumer node) have no counterpart here.
    """

    dynamic_compress: int = 0
    compress_lib: int = 0
    compress_preset: int = 2
    target_psnr: float = 0.0
    max_performance: bool = False
    data_type: str = None
    min_persistence_level: int = 0
    persistence_target: int = -1
    emulate: bool = False
    actual_original_size: int = 0
    actual_compressed_size: int = 0
    actual_compression_ratio: float = 1.0
    actual_compress_time_ms: float = 0.0
    actual_psnr_db: float = 0.0
    emulated_time_ms: float = 0.0
    emulated_places: tuple = ()

    def compression(self):
        """The codecs.Compression, None: what the tag has. UsageError for numbers that the reference doesn't know."""
        if not self.dynamic_compress:
            return None
        from wrp.cte.codecs import Compression

        return Compression.from_context(self.dynamic_compress, self.compress_lib, self.compress_preset, self.target_psnr, self.max_performance,
                                        self.data_type)

    def persistence(self):
        """`min_persistence` of a put. UsageError for levels that there aren't."""
        level, exact = self.min_persistence_level, self.persistence_target
        if not 0 <= level < len(LEVELS) or not -1 <= exact < len(LEVELS) or 0 <= exact < level:
            raise UsageError(f"min_persistence_level {level} and persistence_target {exact}: levels are 0 to 2, and a target of -1 (any) or at least the first")
        return LEVELS[level] if exact < 0 else ONLY + LEVELS[exact]

    def fill(self, nbytes, outcome):
        """What a put of `nbytes` bytes has come to; `outcome`: codecs.Outcome, None where the put compressed nothing."""
        self.actual_original_size = self.actual_compressed_size = nbytes
        self.actual_compression_ratio, self.actual_compress_time_ms, self.actual_psnr_db = 1.0, 0.0, 0.0
        if outcome is not None:
            self.actual_original_size, self.actual_compressed_size = outcome.original_nbytes, outcome.stored_nbytes
            self.actual_compression_ratio, self.actual_compress_time_ms = outcome.ratio, outcome.seconds * 1e3
            self.actual_psnr_db = outcome.psnr_db
