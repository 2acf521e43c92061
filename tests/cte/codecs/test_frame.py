"""Frames: whole and in ranges, incompressible pieces, damage, and what an encrypted one refuses."""

import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrp.cte import crypt
from wrp.cte.codecs import codec, frame
from wrp.errors import Corrupt, StoreError

MIXED = np.arange(frame.PIECE // 8, dtype="i8").tobytes() + random.Random(3).randbytes(frame.PIECE) + b"end " * 5_000


@pytest.fixture(scope="module")
def cipher():
    pytest.importorskip("cryptography", reason="the package cryptography isn't installed")
    key = crypt.Key(bytes(range(32)), "the test")
    return crypt.Lock.made_for(key).opened(key)


def source_of(framed, seen=None):
    def source(start, nbytes):
        if seen is not None:
            seen.append((start, nbytes))
        return memoryview(framed)[start:start + nbytes]
    return source


def test_pieces_that_dont_shrink_are_kept_as_they_are():
    framed = frame.encode(MIXED, codec("zlib", "fast"))
    assert frame.decode(framed) == MIXED
    found = frame.parse(source_of(framed), len(framed))
    assert [entry[2] for entry in found.table] == [False, True, False]
    assert len(framed) < len(MIXED)


def test_bytes_that_dont_shrink_have_no_frame():
    assert frame.encode(os.urandom(10_000), codec("zlib")) is None
    assert frame.encode(b"", codec("zlib")) is None and frame.encode(b"abc", codec("zlib")) is None


def test_ranges_read_only_their_pieces():
    framed = frame.encode(MIXED, codec("zlib", "fast"))
    found = frame.parse(source_of(framed), len(framed))
    rng = random.Random(5)
    for _ in range(8):
        start = rng.randrange(len(MIXED))
        out = bytearray(rng.randrange(min(len(MIXED) - start, 200_000)) + 1)
        seen = []
        found.read(source_of(framed, seen), start, out)
        assert out == MIXED[start:start + len(out)]
        assert len(seen) == (start + len(out) - 1) // frame.PIECE - start // frame.PIECE + 1


def test_a_whole_piece_is_decoded_where_it_is_wanted():
    framed = frame.encode(MIXED, codec("zlib", "fast"))
    out = np.empty(len(MIXED), "u1")
    frame.parse(source_of(framed), len(framed)).read(source_of(framed), 0, out)
    assert out.tobytes() == MIXED


@pytest.fixture(params=["compressed", "encrypted", "both"])
def sealed(request):
    """(frame of a few hundred bytes, what opens it, raw bytes)."""
    raw = b"some text again and again " * 20
    if request.param == "compressed":
        return frame.encode(raw, codec("zlib")), (None, b""), raw
    key = request.getfixturevalue("cipher")
    return frame.encode(raw, codec("zlib") if request.param == "both" else None, key, b"name"), (key, b"name"), raw


def test_every_changed_byte_is_noticed(sealed):
    framed, how, raw = sealed
    assert frame.decode(framed, *how) == raw
    for place in range(len(framed)):
        damaged = bytearray(framed)
        damaged[place] ^= 0x41
        with pytest.raises((Corrupt, StoreError)):
            frame.decode(bytes(damaged), *how)


def test_every_cut_is_noticed(sealed):
    framed, how, _ = sealed
    for length in range(len(framed)):
        with pytest.raises(Corrupt):
            frame.decode(framed[:length], *how)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_no_frame(data):
    for noise in (data, b"WRPT\x01" + data):
        with pytest.raises((Corrupt, StoreError)):
            frame.decode(noise)


def test_an_encrypted_frame_belongs_to_its_name_and_place(cipher):
    first, second = (frame.encode(bytes([number]) * 100, None, cipher, name) for number, name in ((1, b"a"), (2, b"b")))
    with pytest.raises(Corrupt, match="belong to another blob"):
        frame.decode(second, cipher, b"a")
    swapped = first[:-128] + second[-128:]
    with pytest.raises(Corrupt):
        frame.decode(swapped, cipher, b"a")
    with pytest.raises(StoreError, match="no key was given"):
        frame.decode(first)


def test_equal_bytes_are_sealed_differently(cipher):
    assert frame.encode(b"x" * 100, None, cipher, b"a") != frame.encode(b"x" * 100, None, cipher, b"a")


def test_pieces_of_an_encrypted_frame_dont_change_places(cipher):
    raw = bytes(frame.PIECE) + bytes(frame.PIECE)
    framed = bytearray(frame.encode(raw, None, cipher, b"a"))
    found = frame.parse(source_of(framed), len(framed))
    (start, middle, end), length = found.starts, found.table[0][0]
    assert end - middle == middle - start == length
    framed[start:middle], framed[middle:end] = framed[middle:end], framed[start:middle]
    with pytest.raises(Corrupt):
        frame.decode(bytes(framed), cipher, b"a")
