"""Which codec suits a blob: samples of it, a look at their entropy, trials, and a cost model. The choice itself is a pure function."""

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from wrp.cte.codecs import registry

_SAMPLES, _SAMPLE_NBYTES = 4, 16 << 10
_HOPELESS_BITS = 7.8                # a byte's entropy above which general codecs win nothing worth their time
_WORTH_IT = 1.05                    # least ratio
_CALIBRATION_NBYTES = 1 << 20

# the reference's candidates, and the shuffled ones that numbers profit from
PLAIN = (("zstd", "balanced"), ("zstd", "fast"), ("lz4", "fast"), ("bzip2", "best"), ("zlib", "balanced"))
SHUFFLED = (("shuffle+zstd", "fast"), ("shuffle+lz4", "fast"))


@dataclass(frozen=True)
class Trial:
    """One candidate on one blob: ratio on its samples, MB/s of raw bytes by the cost model."""

    codec: str
    preset: str
    ratio: float
    encode_mbps: float
    decode_mbps: float


@dataclass(frozen=True)
class CostModel:
    """What encoding costs on this machine. `mbps`: {(codec, preset): (encode, decode)}.

    tier_mbps : how fast stored bytes are written; by default what a shared file system gives one rank
    """

    mbps: dict = field(default_factory=dict)
    tier_mbps: float = 300.0

    def of(self, codec, preset):
        return self.mbps.get((codec, preset), (100.0, 300.0))


def sample(data, count=_SAMPLES, nbytes=_SAMPLE_NBYTES):
    """`count` pieces of `nbytes`, evenly spread over the bytes, as one uint8 array; all bytes when there are no more than that."""
    flat = np.frombuffer(memoryview(data).cast("B"), np.uint8)
    if len(flat) <= count * nbytes:
        return flat
    # whole elements of up to 8 bytes stay whole
    starts = [(len(flat) - nbytes) * number // (count - 1) & ~7 for number in range(count)]
    return np.concatenate([flat[start:start + nbytes] for start in starts])


def entropy_bits(flat):
    """Shannon entropy of the bytes, 0 to 8 bits."""
    return _bits(np.bincount(flat, minlength=256))


def pair_entropy_bits(flat):
    """Entropy of a byte when the one before it is known, 0 to 8 bits: what byte pairs give away beyond single bytes."""
    pairs = flat[:-1].astype(np.uint16) << 8 | flat[1:]
    return max(0.0, _bits(np.bincount(pairs, minlength=1 << 16)) - entropy_bits(flat[:-1])) if len(flat) > 1 else 0.0


def _bits(counts):
    parts = counts[counts > 0] / counts.sum()
    return float(-(parts * np.log2(parts)).sum())


def is_hopeless(flat):
    """True for bytes that look random: no single byte and no place in an element of 2, 4 or 8 bytes is more likely than others."""
    if len(flat) < 4096 or entropy_bits(flat) < _HOPELESS_BITS:
        return False
    for itemsize in (4, 8):
        planes = flat[:len(flat) - len(flat) % itemsize].reshape(-1, itemsize)
        # short samples of random bytes show less entropy than they have: about 255 / (2 n ln 2) bits
        missing = 255 / (2 * len(planes) * np.log(2))
        if min(entropy_bits(planes[:, place]) for place in range(itemsize)) < _HOPELESS_BITS - missing:
            return False
    return True


def candidates(itemsize):
    """[(codec, preset)] whose library is here, for elements of so many bytes."""
    names = PLAIN + (SHUFFLED if 1 < itemsize <= 255 else ())
    return [(name, preset) for name, preset in names if registry.missing(name.removeprefix("shuffle+")) is None]


def trials(flat, dtype, model):
    """[Trial] of every candidate on a sample."""
    itemsize = np.dtype(dtype).itemsize if dtype else 1
    found = []
    for name, preset in candidates(itemsize):
        encoded = registry.codec(name, preset, dtype).encode(flat)
        found.append(Trial(name, preset, len(flat) / len(encoded), *model.of(name, preset)))
    return found


def choose(found, prefer="balanced", target_ratio=0.0, target_mbps=0.0, tier_mbps=300.0):
    """The Trial to take, or None: store the bytes as they are. Pure: the same trials give the same choice.

    Those that reach both targets come first, then those that reach the ratio, then the speed; among equals the preference decides:
    ratio: smallest; speed: least encoding and decoding; balanced: least time to encode and write (against writing raw bytes).
    """
    useful = [trial for trial in found if trial.ratio >= _WORTH_IT]
    if not useful:
        return None

    def rank(trial):
        small, quick = trial.ratio >= target_ratio, trial.encode_mbps >= target_mbps
        work = 1 / trial.encode_mbps + 1 / trial.decode_mbps
        cost = {"ratio": -trial.ratio, "speed": work, "balanced": 1 / trial.encode_mbps + 1 / (tier_mbps * trial.ratio)}[prefer]
        return (not (small and quick), not small, cost, trial.codec, trial.preset)

    best = min(useful, key=rank)
    wanted = target_ratio and best.ratio >= target_ratio
    if prefer == "balanced" and not wanted and 1 / best.encode_mbps + 1 / (tier_mbps * best.ratio) >= 1 / tier_mbps:
        return None
    return best


def codec_for(data, compression, model=None):
    """The Codec for these bytes, or None. See `choose`."""
    flat = sample(data)
    if is_hopeless(flat):
        return None
    model = model or measured()
    best = choose(trials(flat, compression.dtype, model), compression.prefer, compression.target_ratio, compression.target_mbps,
                  model.tier_mbps)
    return best and registry.codec(best.codec, best.preset, compression.dtype)


_lock = threading.Lock()
_measured = None


def measured():
    """This process's CostModel: every candidate on 1 MiB of made-up numbers, measured at the first call (a quarter of a second)."""
    global _measured
    with _lock:
        if _measured is None:
            _measured = CostModel({pair: _speed(*pair) for pair in candidates(8)})
        return _measured


def _speed(name, preset):
    """(MB/s encoding, MB/s decoding)."""
    values = np.cumsum(np.random.default_rng(0).normal(size=_CALIBRATION_NBYTES // 8)).round(3)
    data = values.view(np.uint8)[:_CALIBRATION_NBYTES // 8 if name == "bzip2" else None]
    codec = registry.codec(name, preset, "f8")
    encoded, encoding = _quickest(lambda: codec.encode(data))
    _, decoding = _quickest(lambda: codec.decode(encoded, len(data)))
    return tuple(len(data) / 1e6 / max(seconds, 1e-9) for seconds in (encoding, decoding))


def _quickest(call):
    """(what the call gives, the fewest seconds of three): others who use the core make a codec no slower for good."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - began)
    return found, min(seconds)
