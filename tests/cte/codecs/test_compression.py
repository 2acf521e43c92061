"""What users may ask for, and the dynamic choice: pure, and sensible on plain cases."""

import os

import numpy as np
import pytest

from wrp.cte.codecs import Compression, choosing, compress, frame
from wrp.cte.codecs.choosing import CostModel, Trial, choose
from wrp.errors import UsageError

MODEL = CostModel({("zstd", "balanced"): (150, 600), ("zstd", "fast"): (250, 600), ("lz4", "fast"): (500, 2000), ("bzip2", "best"): (15, 50),
                   ("zlib", "balanced"): (50, 700), ("shuffle+zstd", "fast"): (400, 500), ("shuffle+lz4", "fast"): (900, 800)})


@pytest.mark.parametrize("text, expected", [
    ("none", Compression(mode="none")), ("zlib", Compression(codec="zlib")), ("zlib best", Compression(codec="zlib", preset="best")),
    ("dynamic", Compression(mode="dynamic")), ("dynamic ratio", Compression(mode="dynamic", prefer="ratio")),
    ({"mode": "dynamic", "target_ratio": 2.0}, Compression(mode="dynamic", target_ratio=2.0)),
])
def test_forms(text, expected):
    assert Compression.of(text) == expected == Compression.of(expected)
    assert Compression.of(expected.get_config()) == expected


@pytest.mark.parametrize("wrong, sentence", [
    ("", "write none, dynamic"), (7, "write none, dynamic"), ("zlib best now", "write none, dynamic"), ("gzap", "no codec"),
    ("zlib quick", "none of fast"), ({"mod": "static"}, "key of a compression 'mod'"), ({"mode": "always"}, "mode 'always'"),
    ({"prefer": "luck"}, "prefer 'luck'"), ({"target_ratio": -1.0}, "0 \\(no matter\\) or more"),
    ({"codec": "zlib", "error_bound": 0.1}, "lossy codec"), ({"mode": "dynamic", "target_psnr": 60}, "lossy codec"),
])
def test_refusals(wrong, sentence):
    with pytest.raises(UsageError, match=sentence):
        Compression.of(wrong)


def test_the_reference_s_fields():
    assert Compression.from_context() == Compression(mode="none", codec="brotli")
    assert Compression.from_context(1, 9, 3) == Compression(codec="zlib", preset="best")
    assert Compression.from_context(2, max_performance=True).prefer == "speed"
    with pytest.raises(UsageError, match="mode 3"):
        Compression.from_context(3)


def test_outcome_says_what_came_of_it():
    data = b"again and again " * 1000
    framed, outcome = compress(data, Compression(codec="zlib"))
    assert frame.decode(framed) == data
    assert (outcome.original_nbytes, outcome.stored_nbytes, outcome.codec) == (len(data), len(framed), "zlib")
    assert outcome.ratio > 10 and outcome.seconds > 0 and outcome.psnr_db == float("inf")
    for how, data in ((Compression(mode="none"), data), (Compression(codec="zlib"), os.urandom(5000)), (Compression(codec="zlib"), b"")):
        framed, outcome = compress(data, how)
        assert framed is None and outcome.codec == "none" and outcome.ratio == 1 and outcome.stored_nbytes == len(data)


def test_random_bytes_are_hopeless_and_numbers_are_not():
    rng = np.random.default_rng(1)
    assert choosing.is_hopeless(choosing.sample(rng.bytes(1 << 20)))
    assert not choosing.is_hopeless(choosing.sample(rng.normal(size=1 << 17)))         # its exponents repeat
    assert not choosing.is_hopeless(choosing.sample(b"text " * 100_000))
    assert choosing.codec_for(rng.bytes(1 << 20), Compression(mode="dynamic"), MODEL) is None


def test_entropies():
    assert choosing.entropy_bits(np.zeros(100, "u1")) == 0
    assert choosing.entropy_bits(np.arange(256, dtype="u1")) == pytest.approx(8)
    # every byte tells the next one
    assert choosing.pair_entropy_bits(np.tile(np.arange(256, dtype="u1"), 20)) == pytest.approx(0, abs=0.01)


def test_samples_are_spread_over_the_bytes():
    data = np.repeat(np.arange(100, dtype="u1"), 10_000)
    found = choosing.sample(data, 4, 1000)
    assert len(found) == 4000 and found[0] == 0 and found[-1] == 99 and len(set(found.tolist())) >= 4
    assert len(choosing.sample(b"short")) == 5


def test_the_choice_is_pure():
    values = np.cumsum(np.random.default_rng(2).normal(size=100_000)).round(1)
    first = choosing.codec_for(values, Compression(mode="dynamic", prefer="ratio", dtype="f8"), MODEL)
    assert all(choosing.codec_for(values, Compression(mode="dynamic", prefer="ratio", dtype="f8"), MODEL) == first for _ in range(3))
    assert first.encode(values)


A, B, C = Trial("a", "fast", 1.5, 900, 900), Trial("b", "balanced", 3.0, 200, 500), Trial("c", "best", 5.0, 10, 60)


@pytest.mark.parametrize("options, expected", [
    ({"prefer": "ratio"}, C), ({"prefer": "speed"}, A), ({"prefer": "balanced", "tier_mbps": 50}, B),
    ({"prefer": "balanced", "tier_mbps": 5000}, None),                       # storage is quicker than any codec
    ({"prefer": "speed", "target_ratio": 2.5}, B), ({"prefer": "ratio", "target_mbps": 100}, B),
    ({"prefer": "speed", "target_ratio": 9}, A),                             # none reaches it
    ({"prefer": "ratio", "target_ratio": 4, "target_mbps": 500}, C),         # not both: the ratio comes first
])
def test_preferences_and_targets(options, expected):
    assert choose([A, B, C], **options) == expected == choose([C, A, B], **options)


def test_what_doesnt_shrink_is_never_chosen():
    assert choose([Trial("a", "fast", 1.02, 900, 900)], "ratio") is None and choose([]) is None


def test_the_cost_model_is_measured_once():
    model = choosing.measured()
    assert model is choosing.measured() and model.mbps
    assert all(encode > 0 and decode > 0 for encode, decode in model.mbps.values())
