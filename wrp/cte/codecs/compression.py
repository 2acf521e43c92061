"""What a user asks for when bytes are to be compressed, and what came of it. How it is done is in frame.py and choosing.py."""

import time
from dataclasses import asdict, dataclass, fields, replace

from wrp.cte.codecs import choosing, frame, registry
from wrp.errors import UsageError

MODES = ("none", "static", "dynamic")
PREFERENCES = ("balanced", "ratio", "speed")


@dataclass(frozen=True)
class Compression:
    """How the bytes of a blob are to be stored; checked when it is made (UsageError).

    mode          none; static: `codec` with `preset`; dynamic: by samples of each blob, `codec` doesn't count
    dtype         NumPy's name of the elements: a lossy codec and a shuffle want it
    error_bound   of a lossy codec (lossy.py says what it bounds); only static
    target_psnr   dB, of a lossy codec without error_bound: the bound becomes (largest - smallest) * 10**(-psnr / 20)
    prefer        dynamic: ratio (smallest), speed (least work), balanced (least time until it is stored)
    target_ratio  dynamic: at least so small, if any codec can; 0: no matter
    target_mbps   dynamic: encode at least so fast, in MB/s of raw bytes; 0: no matter
    """

    mode: str = "static"
    codec: str = "zstd"
    preset: str = "balanced"
    dtype: str = None
    error_bound: float = None
    target_psnr: float = 0.0
    prefer: str = "balanced"
    target_ratio: float = 0.0
    target_mbps: float = 0.0

    def __post_init__(self):
        _one_of("mode", self.mode, MODES)
        _one_of("prefer", self.prefer, PREFERENCES)
        if min(self.target_ratio, self.target_mbps, self.target_psnr) < 0:
            raise UsageError("targets of a compression are 0 (no matter) or more")
        if (self.error_bound is not None or self.target_psnr) and (self.mode != "static" or self.codec not in registry.LOSSY):
            raise UsageError(f"an error bound or a PSNR wants mode static and a lossy codec ({', '.join(registry.LOSSY)})")
        if self.mode == "static":
            registry.codec(self.codec, self.preset, self.dtype, self.error_bound)

    @classmethod
    def of(cls, value, dtype=None):
        """A Compression of itself, of a config, or of text: "none", "dynamic", "dynamic ratio", "zstd", "zstd best".

        dtype : of the elements, for a lossy codec of a config or a text that doesn't say it
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, dict):
            known = [field.name for field in fields(cls)]
            for key in value:
                _one_of("key of a compression", key, known)
            return cls(**_with_dtype(value, dtype))
        words = value.split() if isinstance(value, str) else []
        if words == ["none"]:
            return cls(mode="none")
        if words[:1] == ["dynamic"] and len(words) <= 2:
            return cls(mode="dynamic", prefer=words[1] if len(words) == 2 else "balanced")
        if 1 <= len(words) <= 2:
            return cls(**_with_dtype({"codec": words[0], "preset": words[1] if len(words) == 2 else "balanced"}, dtype))
        raise UsageError(f"compression {value!r}: write none, dynamic [ratio|speed|balanced], or a codec and perhaps fast, balanced or best")

    @classmethod
    def from_context(cls, dynamic_compress=0, compress_lib=0, compress_preset=2, target_psnr=0, max_performance=False, data_type=None):
        """From the fields of the reference's Context, by its numbers. Fields that say nothing here are left out."""
        name, _ = registry.name_of(compress_lib)
        mode = MODES[dynamic_compress] if dynamic_compress in (0, 1, 2) else dynamic_compress
        preset = {number: name for name, number in registry.PRESETS.items()}.get(compress_preset, compress_preset)
        lossy = mode == "static" and name in registry.LOSSY
        return cls(mode, name, preset, data_type, None, target_psnr if lossy else 0, "speed" if max_performance else "balanced")

    def get_config(self):
        """Plain values that `of` takes back: those that aren't the default."""
        return {"mode": self.mode, **{key: value for key, value in asdict(self).items() if value != _DEFAULTS[key]}}

    def but(self, **changes):
        return replace(self, **changes)

    def codec_for(self, data, model=None):
        """The Codec for these bytes, or None: stored as they are.

        model : a choosing.CostModel for mode dynamic (default: this process's, measured once)
        """
        if self.mode == "none" or not memoryview(data).nbytes:
            return None
        if self.mode == "dynamic":
            return choosing.codec_for(data, self, model)
        bound = self.error_bound
        if self.target_psnr and bound is None:
            bound = _bound_of_psnr(data, self.dtype, self.target_psnr)
        return registry.codec(self.codec, self.preset, self.dtype, bound)


def _with_dtype(config, dtype):
    return {"dtype": dtype, **config} if str(config.get("codec")).lower() in registry.LOSSY else config


_DEFAULTS = {field.name: field.default for field in fields(Compression)}


@dataclass(frozen=True)
class Outcome:
    """What came of it. `codec`: as in the registry, "none" where the bytes were stored as they are; `psnr_db`: inf without a loss."""

    original_nbytes: int
    stored_nbytes: int
    codec: str
    preset: int
    seconds: float
    psnr_db: float = float("inf")

    @property
    def ratio(self):
        return self.original_nbytes / self.stored_nbytes if self.stored_nbytes else 1.0


def compress(data, compression, cipher=None, name=b"", model=None):
    """(frame or None, Outcome): None when the bytes are better stored as they are. See frame.encode."""
    began = time.perf_counter()
    codec = compression.codec_for(data, model) if compression is not None else None
    framed = frame.encode(data, codec, cipher, name) if codec is not None or cipher is not None else None
    seconds = time.perf_counter() - began
    nbytes = memoryview(data).nbytes
    if framed is None or codec is None:
        return framed, Outcome(nbytes, nbytes if framed is None else len(framed), "none", 0, seconds)
    psnr = psnr_db(data, frame.decode(framed, cipher, name), codec.dtype) if codec.lossy else float("inf")
    return framed, Outcome(nbytes, len(framed), codec.name, codec.preset, seconds, psnr)


def psnr_db(original, decoded, dtype):
    """Peak signal-to-noise ratio in dB, of whole and finite numbers: 20 log10((largest - smallest) / root of the mean squared error)."""
    import numpy as np

    a, b = (_numbers(data, dtype).astype("f8") for data in (original, decoded))
    finite = np.isfinite(a)             # pieces with others, and with half a number at the end, are kept as they were
    a, b = a[finite], b[finite]
    error = float(np.sqrt(np.mean((a - b) ** 2))) if len(a) else 0.0
    if not error:
        return float("inf")
    spread = float(a.max() - a.min())
    return 20 * float(np.log10(spread / error)) if spread else float("-inf")


def _bound_of_psnr(data, dtype, psnr):
    """An absolute bound under which the PSNR is at least that: no error is larger than the root of their mean square may be."""
    import numpy as np

    values = _numbers(data, dtype)
    spread = float(np.ptp(values)) if len(values) and np.isfinite(values).all() else 0.0
    return spread * 10 ** (-psnr / 20) or None


def _numbers(data, dtype):
    """The whole numbers in bytes."""
    import numpy as np

    view = memoryview(data).cast("B")
    return np.frombuffer(view[:len(view) - len(view) % np.dtype(dtype).itemsize], dtype)


def _one_of(what, value, known):
    if value not in known:
        raise UsageError(f"{what} {value!r} is none of {', '.join(known)}")
