"""Compressed and encrypted blobs through the store: whole, in ranges, flushed, opened again, in batches; what lies in the folder; wrong keys."""

import json
import os
import re

import numpy as np
import pytest

from wrp.cte import Store
from wrp.cte.codecs import Compression
from wrp.errors import Corrupt, RangeError, StoreError, UsageError

TEXT = b"all work and no play " * 3000
SECRET = b"nobody is to read this: " * 4000


@pytest.fixture(params=["memory", "folder"])
def store(request, open_store):
    return open_store(memory=request.param == "memory", ram="32m")


@pytest.fixture
def key(tmp_path):
    crypt = pytest.importorskip("wrp.cte.crypt")
    pytest.importorskip("cryptography", reason="the package cryptography isn't installed")
    crypt.Key.make(tmp_path / "key")
    return str(tmp_path / "key")


@pytest.fixture
def open_locked(configured, folder, key):
    """A function that opens the folder with the key; left open, it is closed at the end."""
    opened = []

    def make(**options):
        opened.append(Store.open(folder, config=configured(ram="32m"), **{"key": key, **options}))
        return opened[-1]
    yield make
    for each in opened:
        each.close()


def every_byte(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_put_may_ask_for_compression(store):
    outcome = store.put("t", "b", TEXT, compression="zlib")
    assert outcome.codec == "zlib" and outcome.ratio > 20 and outcome.stored_nbytes == store.info("t", "b").stored
    assert store.put("t", "plain", TEXT) is None
    assert store.get("t", "b") == TEXT and bytes(store.view("t", "b")) == TEXT
    assert store.get("t", "b", 1000, 50) == TEXT[1000:1050]
    out = bytearray(10)
    assert store.get("t", "b", 7, out=out) == 10 and out == TEXT[7:17]
    assert store.size("t", "b") == len(TEXT) and store.tag_size("t") == 2 * len(TEXT)
    info, plain = store.info("t", "b"), store.info("t", "plain")
    assert (info.size, info.codec, info.checksum) == (len(TEXT), "zlib", plain.checksum) and info.stored < 5000
    assert (plain.stored, plain.codec) == (len(TEXT), "none")
    assert store.infos("t")["b"] == info
    with pytest.raises(RangeError, match=f"which has {len(TEXT)} bytes"):
        store.get("t", "b", len(TEXT) - 5, 6)


def test_bytes_that_dont_shrink_lie_as_they_are(store):
    data = os.urandom(50_000)
    outcome = store.put("t", "b", data, compression="zlib best")
    assert outcome.codec == "none" and outcome.ratio == 1
    assert store.info("t", "b").stored == len(data) and store.get("t", "b") == data
    assert store.put("t", "empty", b"", compression="zlib").ratio == 1 and store.get("t", "empty") == b""


def test_a_plain_put_replaces_a_frame_and_the_reverse(store):
    for data, compression in ((TEXT, "zlib"), (b"short", None), (TEXT, "zlib"), (TEXT[:-1], None), (os.urandom(3000), "zlib")):
        store.put("t", "b", data, compression=compression)
        assert store.get("t", "b") == data and store.tag_size("t") == store.size("t", "b") == len(data)
    store.put("t", "b", TEXT, compression="zlib")
    store.delete("t", "b")
    assert store.tag_size("t") == 0


def test_a_range_of_a_frame(store):
    store.put("t", "b", TEXT, compression="zlib")
    store.put("t", "b", b"XYZ", offset=100)
    expected = TEXT[:100] + b"XYZ" + TEXT[103:]
    assert store.get("t", "b") == expected
    store.put("t", "b", b"end", offset=len(TEXT) + 2, compression="zlib")
    assert store.get("t", "b") == expected + b"\0\0end" and store.info("t", "b").codec == "zlib"
    store.put("t", "new", b"x" * 5000, offset=3, compression="zlib")
    assert store.get("t", "new") == b"\0\0\0" + b"x" * 5000
    with pytest.raises(UsageError, match="negative"):
        store.put("t", "b", b"x", offset=-1, compression="zlib")


def test_large_frames_are_read_by_ranges(store):
    data = np.arange(3 << 20, dtype="i4")                       # 12 MiB: three pieces
    store.put("t", "b", data, compression=Compression(codec="zlib", preset="fast"))
    raw = data.tobytes()
    assert store.get("t", "b") == raw
    for start, nbytes in ((0, 1), (5 << 20, 100), ((4 << 20) - 3, 7), (12 << 20, 0), ((8 << 20) - 1, (4 << 20) + 1)):
        assert store.get("t", "b", start, nbytes) == raw[start:start + nbytes]


@pytest.mark.parametrize("wish", ["zfp", {"codec": "zfp", "error_bound": 1e-3}])
def test_a_lossy_codec_takes_the_dtype_of_the_array(store, wish):
    values = np.linspace(0, 1, 40_000, dtype=np.float32)
    assert store.put("t", "b", values, compression=wish).codec == "zfp"
    assert np.abs(np.frombuffer(store.get("t", "b"), np.float32) - values).max() <= 1e-3
    with pytest.raises(UsageError, match="give dtype"):
        store.put("t", "b", values.tobytes(), compression=wish)
    with pytest.raises(UsageError, match="not <i4"):
        store.put("t", "b", values.view(np.int32), compression=wish)


@pytest.mark.parametrize("wrong", ["gzap", "zlib quick", 7])
def test_a_wrong_wish_changes_nothing(store, wrong):
    store.put("t", "b", b"before")
    with pytest.raises(UsageError):
        store.put("t", "b", TEXT, compression=wrong)
    with pytest.raises(UsageError):
        store.set_compression("t", wrong)
    assert store.get("t", "b") == b"before" and store.compression("t") is None


def test_a_tag_keeps_its_compression(open_store, folder):
    with open_store() as store:
        store.set_compression("small", "zlib best")
        store.put("small", "b", TEXT)
        store.put("other", "b", TEXT)
        assert store.put("small", "as it is", TEXT, compression="none").codec == "none"
        assert store.info("small", "b").codec == "zlib" and store.info("other", "b").codec == "none"
    with open_store() as store:
        assert store.compression("small") == Compression(codec="zlib", preset="best") and store.compression("other") is None
        assert store.get("small", "b") == TEXT and store.info("small", "b").stored < 5000
        store.put("small", "later", TEXT)
        store.put("small", "later", b"!", offset=0)
        assert store.info("small", "later").codec == "zlib" and store.get("small", "later") == b"!" + TEXT[1:]
        with store.batch("a batch") as batch:
            batch.put("small", "put", TEXT)
            with batch.writing("small", "written", len(TEXT)) as buffer:
                buffer[:] = TEXT
            batch.put("other", "put", TEXT)
        assert [entry.size for entry in batch.entries] == [len(TEXT)] * 3 and len({entry.checksum for entry in batch.entries}) == 1
        assert [store.info(tag, blob).codec for tag, blob in (("small", "put"), ("small", "written"), ("other", "put"))] == ["zlib", "zlib", "none"]
        store.set_compression("small", "none")
        store.put("small", "plain", TEXT)
        assert store.info("small", "plain").codec == "none" and store.compression("small") is None
    with open_store(write=False) as store:
        assert all(store.get("small", blob) == TEXT for _, blob in store.blobs("small", "put|written|plain|b"))
    assert "codecs" in json.loads((folder / "STORE").read_text())


def test_lossy_tags_keep_their_bound(store):
    values = np.sin(np.linspace(0, 100, 50_000)).astype("f4")
    try:
        store.set_compression("t", {"codec": "zfp", "dtype": "f4", "error_bound": 1e-3})
    except UsageError as error:
        pytest.skip(str(error))
    store.put("t", "b", values)
    assert store.info("t", "b").stored < values.nbytes / 2
    assert np.abs(np.frombuffer(store.get("t", "b"), "f4") - values).max() <= 1e-3


def test_arrays_of_all_ranks_lie_in_frames_too(store):
    from wrp.cte.arrays import get_array, put_array

    store.set_compression("t", "zlib")
    values = np.arange(60_000, dtype="i4").reshape(200, 300)
    put_array(store, "t", values)
    assert {info.codec for name, info in store.infos("t").items() if name.startswith("block_")} == {"zlib"}
    np.testing.assert_array_equal(get_array(store, "t"), values)


def test_a_full_ram_moves_frames_like_any_blob(open_store):
    store = open_store(ram="4m", file="64m")
    rng = np.random.default_rng(0)
    data = {f"b{number}": rng.integers(0, 4, 600_000).astype("u1").tobytes() for number in range(40)}
    for name, each in data.items():
        store.put("t", name, each, compression="zlib fast")
    store.flush()
    assert all(store.get("t", name) == each for name, each in data.items())
    assert {tier for info in store.infos("t").values() for tier in info.tiers} == {"ram", "file"}


def test_frames_move_between_the_tiers(open_store):
    store = open_store()
    store.put("t", "b", TEXT, compression="zlib")
    for tier in ("file", "ram"):
        assert store.move("t", "b", tier) and store.get("t", "b") == TEXT and store.info("t", "b").codec == "zlib"


def test_damaged_frames_are_named(open_store, folder):
    with open_store() as store:
        store.put("t", "b", TEXT, compression="zlib")
    path = folder / "data" / "0"
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"WRPT") + 60] ^= 1
    path.write_bytes(raw)
    with open_store(write=False) as store, pytest.raises(Corrupt, match="'b'"):
        store.get("t", "b")


def test_an_encrypted_store_shows_nothing_and_comes_back(open_locked, folder):
    with open_locked() as store:
        store.put("t", "b", SECRET)
        store.put("t", "small", SECRET, compression="zlib")
        store.put("t", "b2", SECRET[:100])
        store.put("t", "b2", b"hidden", offset=50)
        with store.batch("a batch") as batch:
            batch.put("t", "batched", SECRET)
        assert store.info("t", "b").codec == "none" and store.info("t", "b").stored > store.size("t", "b") == len(SECRET)
        assert store.info("t", "small").stored < 3000
    everything = every_byte(folder)
    assert SECRET[:20] not in everything and b"hidden" not in everything
    with open_locked(write=False) as store:
        assert store.get("t", "b") == store.get("t", "small") == store.get("t", "batched") == SECRET
        assert store.get("t", "b2") == SECRET[:50] + b"hidden" + SECRET[56:100] and store.get("t", "b", 24, 24) == SECRET[:24]


def test_the_key_may_come_from_the_environment(open_locked, key, monkeypatch):
    monkeypatch.setenv("WRP_KEY_FILE", key)
    with open_locked(key=None) as store:
        store.put("t", "b", SECRET)
        assert store.info("t", "b").stored > len(SECRET)
    with open_locked() as store:
        assert store.get("t", "b") == SECRET
    monkeypatch.delenv("WRP_KEY_FILE")
    with pytest.raises(StoreError, match="the store is encrypted: name its key's file in WRP_KEY_FILE"):
        open_locked(key=None)


def test_wrong_keys_are_a_sentence_at_open(open_locked, open_store, folder, key, tmp_path):
    from wrp.cte.crypt import Key

    open_locked().close()
    with pytest.raises(StoreError, match="not the one that the store was encrypted with"):
        open_locked(key=Key(bytes(32), "elsewhere"))
    os.chmod(key, 0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        open_locked()
    os.chmod(key, 0o600)
    open_locked().close()                                       # nothing was left held
    with pytest.raises(UsageError, match="a store in memory isn't encrypted"):
        Store.open(key=key)


def test_a_plain_store_isnt_encrypted_later(open_store, open_locked, key, monkeypatch):
    with open_store() as store:
        store.put("t", "b", b"plain")
    with pytest.raises(UsageError, match="only a new one can be"):
        open_locked()
    monkeypatch.setenv("WRP_KEY_FILE", key)                     # said for all stores of a user: plain ones stay plain
    with open_locked(key=None) as store:
        assert store.get("t", "b") == b"plain"


def test_swapped_blobs_are_noticed(open_locked, folder):
    with open_locked() as store:
        for name in ("a", "b"):
            store.put("t", name, name.encode() * 1000)
    path = folder / "data" / "0"
    raw = path.read_bytes()
    first, second = (match.start() for match in re.finditer(b"WRPT", raw))
    nbytes = len(raw) - second
    length = 44 + 8 + 4 + 1028
    assert nbytes >= length
    swapped = bytearray(raw)
    swapped[first:first + length], swapped[second:second + length] = raw[second:second + length], raw[first:first + length]
    path.write_bytes(swapped)
    with open_locked(write=False) as store:
        for name in ("a", "b"):
            with pytest.raises(Corrupt):
                store.get("t", name)
