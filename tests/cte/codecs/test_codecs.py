"""One suite over every codec whose library is here: round trips, lengths, damage, configuration."""

import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrp.cte.codecs import available, codec, from_config, known, registry
from wrp.errors import UsageError

LOSSLESS = [name for name in known() if name not in registry.LOSSY]
EVERY = LOSSLESS + [f"shuffle+{name}" for name in ("zstd", "lz4", "zlib")]


def made(name, *args, **options):
    """The codec, or a skipped test where its library isn't installed (bin/setup --test installs all)."""
    if name.removeprefix("shuffle+") not in available():
        pytest.skip(f"the library of {name} isn't installed")
    return codec(name, *args, **options)


SAMPLES = {
    "nothing": b"",
    "one byte": b"x",
    "no whole element": b"abcdefghijk",
    "text": b"the quick brown fox jumps over the lazy dog " * 300,
    "zeros": bytes(70_000),
    "random": random.Random(1).randbytes(70_001),
    "numbers": np.arange(20_000, dtype="f8").tobytes(),
}


@pytest.mark.parametrize("preset", ["fast", "balanced", "best"])
@pytest.mark.parametrize("name", EVERY)
def test_what_is_encoded_comes_back(name, preset):
    made_codec = made(name, preset, "f8")
    for what, data in SAMPLES.items():
        encoded = made_codec.encode(data)
        assert isinstance(encoded, bytes)
        assert made_codec.decode(encoded, len(data)) == data, what
        out = bytearray(len(data))
        assert made_codec.decode(encoded, len(data), out) is out and out == data, what
        assert made_codec.encode(memoryview(data)) == made_codec.encode(np.frombuffer(data, "u1")) == encoded


@pytest.mark.parametrize("name", EVERY)
def test_a_wrong_size_is_noticed(name):
    made_codec = made(name, "fast", "f8")
    data = SAMPLES["text"]
    encoded = made_codec.encode(data)
    for size in (len(data) - 1, len(data) + 1, 1):
        with pytest.raises(ValueError):
            made_codec.decode(encoded, size, bytearray(size))


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_bytes_are_an_error_or_of_the_right_length(name, data):
    made_codec = made(name, "fast", "f8")
    raw = SAMPLES["text"]
    encoded = bytearray(made_codec.encode(raw))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(encoded[:data.draw(st.integers(0, len(encoded)))])
    try:
        assert len(made_codec.decode(cut, len(raw))) == len(raw)
    except ValueError:
        pass


@pytest.mark.parametrize("name", EVERY)
def test_a_configuration_makes_an_equal_codec(name):
    made_codec = made(name, "best", "f4")
    again = from_config(made_codec.get_config())
    assert again == made_codec and hash(again) == hash(made_codec) and repr(again) == repr(made_codec)
    assert again != made(name, "fast", "f4")


def test_shuffled_numbers_get_smaller():
    values = np.cumsum(np.random.default_rng(0).integers(-5, 5, 50_000)).astype("i4")
    plain, shuffled = made("zstd").encode(values), made("shuffle+zstd", dtype="i4").encode(values)
    assert len(shuffled) < len(plain) < values.nbytes


def test_both_tables_of_numbers():
    assert registry.name_of(10) == ("zstd", None) and registry.name_of(0) == ("brotli", None)
    assert registry.name_of(23, transport=True) == ("zstd", 3) and registry.name_of(101, transport=True) == ("zfp", 1)
    for name in known():
        assert registry.name_of(registry.NUMBERS[name]) == (name, None)
        if name in registry.TRANSPORT_NUMBERS:
            assert registry.name_of(registry.TRANSPORT_NUMBERS[name] * 10 + 2, transport=True) == (name, 2)
    for number, transport in ((99, False), (20, True), (999, True)):
        with pytest.raises(UsageError, match="no codec has the number"):
            registry.name_of(number, transport)


REFUSALS = [
    (("zstandard",), "did you mean 'zstd'"),
    (("nothing-like-it",), "known are: blosc"),
    (("shuffle+zfp",), "lossy codec takes numbers"),
    (("zlib", "quick"), "none of fast, balanced, best"),
    (("zlib", 4), "none of fast, balanced, best"),
    (("zlib", "fast", "f4", 0.1), "lossless: it has no error bound"),
    (("zlib", "fast", "no type"), "none of NumPy's"),
    (("zfp", "fast"), "give dtype"),
    (("zfp", "fast", "i4"), "float32 and float64"),
    (("sz3", "fast", "f4", -1.0), "must be a number above 0"),
    (("shuffle+zlib", "fast", "V300"), "1 to 255"),
]


@pytest.mark.parametrize("arguments, sentence", REFUSALS, ids=[str(arguments) for arguments, _ in REFUSALS])
def test_refusals(arguments, sentence):
    if arguments[0] in registry.LOSSY:
        made(arguments[0], dtype="f4")
    with pytest.raises(UsageError, match=sentence):
        codec(*arguments)


def test_a_missing_library_is_one_sentence_with_advice(monkeypatch):
    import sys

    registry.missing.cache_clear(), registry._made.cache_clear()
    monkeypatch.setitem(sys.modules, "cramjam", None)
    try:
        with pytest.raises(UsageError, match=r"codec 'zstd' can't be used: .*cramjam.*; .*python.* -m pip install -e '\.\[codecs\]' in the clone of wrp"):
            codec("zstd")
        assert "zstd" not in available() and "zlib" in available()
    finally:
        registry.missing.cache_clear(), registry._made.cache_clear()


def test_stores_without_codecs_import_none():
    import subprocess
    import sys

    code = ("import sys, wrp.cte\n"
            "wrong = [name for name in sys.modules if name.startswith(('wrp.cte.codecs', 'cramjam', 'cryptography', 'numcodecs'))]\n"
            "assert not wrong, wrong")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
