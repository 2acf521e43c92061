"""Which codecs there are: names, the reference's two tables of numbers, and their import at first use."""

import difflib
import importlib
from functools import lru_cache

from wrp.comm import installing
from wrp.cte.codecs.contract import BALANCED, PRESETS
from wrp.cte.codecs.shuffle import Shuffled
from wrp.errors import UsageError

_EXTRA = installing.extra("codecs")

# name: module, class, the library it imports, what to do when that fails
_KNOWN = {
    "zlib": ("stdlib", "Zlib", "zlib", "use a Python that has it"),
    "bzip2": ("stdlib", "Bzip2", "bz2", "use a Python that has it"),
    "lzma": ("stdlib", "Lzma", "lzma", "use a Python that has it"),
    "zstd": ("cramjammed", "Zstd", "cramjam", _EXTRA),
    "brotli": ("cramjammed", "Brotli", "cramjam", _EXTRA),
    "snappy": ("cramjammed", "Snappy", "cramjam", _EXTRA),
    "lz4": ("lz4", "Lz4", "lz4.block", _EXTRA),
    "blosc": ("blosc", "Blosc", "numcodecs.blosc", _EXTRA),
    "blosc2": ("blosc", "Blosc2", "blosc2", installing.package("blosc2")),
    "zfp": ("lossy", "Zfp", "zfpy", _EXTRA),
    "sz3": ("lossy", "Sz3", "pysz", _EXTRA),
    "fpzip": ("lossy", "Fpzip", "fpzip", _EXTRA),
}
LOSSY = ("zfp", "sz3", "fpzip")

# the CTE's numbers (compress_lib), which stored frames use too; 32 and above are this system's own
NUMBERS = {"brotli": 0, "bzip2": 1, "blosc2": 2, "fpzip": 3, "lz4": 4, "lzma": 5, "snappy": 6, "sz3": 7, "zfp": 8, "zlib": 9, "zstd": 10,
           "blosc": 32}
# the transport primitives' numbers: library * 10 + preset
TRANSPORT_NUMBERS = {"bzip2": 1, "zstd": 2, "lz4": 3, "zlib": 4, "lzma": 5, "brotli": 6, "snappy": 7, "blosc2": 8, "zfp": 10, "sz3": 11,
                     "fpzip": 12}
_ALIASES = {"bz2": "bzip2", "xz": "lzma", "gzip": "zlib"}
_SHUFFLE = "shuffle+"


def known():
    """Names of all codecs, installed or not."""
    return sorted(_KNOWN)


def available():
    """Names of the codecs whose library can be imported. Imports all of them."""
    return [name for name in known() if missing(name) is None]


def codec(name, preset="balanced", dtype=None, error_bound=None):
    """The codec of that name, `shuffle+NAME` for one behind a byte shuffle; cached.

    preset : fast, balanced or best, or their numbers 1 to 3
    dtype : NumPy's name of the elements: lossy codecs and the shuffle want it
    error_bound : see lossy.py; lossless codecs have none
    Raises UsageError for an unknown name (with the nearest), a library that isn't there (with what to install), wrong options.
    """
    import numpy as np

    try:
        text = None if dtype is None else np.dtype(dtype).str
    except TypeError as error:
        raise UsageError(f"codec {name}: dtype {dtype!r} is none of NumPy's: {error}") from None
    return _made(checked(name), preset_number(preset), text, error_bound)


def checked(name):
    """The name in its one form; UsageError with the nearest known one when there is none."""
    plain = str(name).lower().removeprefix(_SHUFFLE)
    plain = _ALIASES.get(plain, plain)
    if plain not in _KNOWN:
        near = difflib.get_close_matches(plain, known(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? known are: " if near else "known are: "
        raise UsageError(f"there is no codec {name!r}; {hint}{', '.join(known())}, each but zfp, sz3 and fpzip also as shuffle+NAME")
    shuffled = str(name).lower().startswith(_SHUFFLE)
    if shuffled and plain in LOSSY:
        raise UsageError(f"codec {name!r}: a lossy codec takes numbers, not shuffled bytes; write {plain!r}")
    return _SHUFFLE + plain if shuffled else plain


def preset_number(preset):
    """1, 2 or 3 of a preset's name or number; UsageError for another."""
    number = PRESETS.get(preset, preset)
    if number not in PRESETS.values() or isinstance(number, bool):
        raise UsageError(f"preset {preset!r} of a codec is none of fast, balanced, best")
    return int(number)


def from_config(config):
    """The codec that a `get_config` describes."""
    config = dict(config)
    name = config.pop("id")
    itemsize = config.pop("itemsize", None)
    return codec(name, config.pop("preset", BALANCED), config.pop("dtype", f"V{itemsize}" if itemsize else None), **config)


def name_of(number, transport=False):
    """(name, preset's number or None) of a number in the CTE's table, or in the transport primitives' (library * 10 + preset)."""
    library, preset = divmod(number, 10) if transport else (number, None)
    for name, value in (TRANSPORT_NUMBERS if transport else NUMBERS).items():
        if value == library and preset in (None, *PRESETS.values()):
            return name, preset
    raise UsageError(f"no codec has the number {number}")


@lru_cache(256)
def _made(name, preset, dtype, error_bound):
    import numpy as np

    plain = name.removeprefix(_SHUFFLE)
    reason = missing(plain)
    if reason is not None:
        raise UsageError(f"codec {plain!r} can't be used: {reason}; {_KNOWN[plain][3]}")
    kind = getattr(importlib.import_module(f"wrp.cte.codecs.{_KNOWN[plain][0]}"), _KNOWN[plain][1])
    itemsize = np.dtype(dtype).itemsize if dtype else 1
    if not 1 <= itemsize <= 255:
        raise UsageError(f"codec {name!r}: elements of {itemsize} bytes; 1 to 255 can be shuffled")
    if plain in LOSSY:
        if dtype is None:
            raise UsageError(f"codec {plain!r} is lossy and wants to know the numbers: give dtype, 'f4' or 'f8'")
        try:
            return kind(preset, dtype, error_bound)
        except ValueError as error:
            raise UsageError(str(error)) from None
    if error_bound is not None:
        raise UsageError(f"codec {plain!r} is lossless: it has no error bound")
    if plain in ("blosc", "blosc2"):
        return kind(preset, itemsize)
    return Shuffled(kind(preset), itemsize) if name.startswith(_SHUFFLE) and itemsize > 1 else kind(preset)


@lru_cache(None)
def missing(plain):
    """Why the codec's library can't be imported; None when it can."""
    try:
        importlib.import_module(_KNOWN[plain][2])
    except Exception as error:          # a library that doesn't fit another one's version fails in its own ways
        return f"{_KNOWN[plain][2]} can't be imported ({error})"
    return None
