"""A flush that can't write all down writes down what it can, and says what it couldn't."""

import errno
import gc
import os
import weakref

import numpy as np
import pytest

from wrp.cte import Store
from wrp.errors import Corrupt, OutOfSpace, StoreError
from wrp.runtime.config import load

MIB = 1 << 20


def _configured(tmp_path, files):
    targets = "".join(f"  - {{path: {tmp_path / f'file{number}'}, bdev_type: file, capacity_limit: 4m}}\n" for number in range(files))
    path = tmp_path / "wrp.yaml"
    path.write_text("storage:\n  - {path: 'ram::fast', bdev_type: ram, capacity_limit: 4m}\n" + targets)
    return load(path)


def _fill(store):
    """Names, as many as there is room for; those in ram have nowhere to go."""
    names = []
    with pytest.raises(OutOfSpace):
        while True:
            store.put("t", f"b{len(names)}", bytes([len(names)]) * MIB)
            names.append(f"b{len(names)}")
    return names


@pytest.mark.parametrize("files", [1, 2])
def test_what_lies_in_files_lasts_though_the_ram_finds_no_room_there(tmp_path, files):
    store = Store.open(tmp_path / "store", config=_configured(tmp_path, files))
    names = _fill(store)
    in_files = [name for name in names if store.info("t", name).tiers == ("file",)]
    assert len(in_files) == 4 * files and len(names) == 4 * files + 4
    with pytest.raises(OutOfSpace, match=r"no tier has room for 1 MiB of blob 'b\d+'.*; 3 more blobs are not durable either, all others are"):
        store.flush()
    with pytest.raises(OutOfSpace):
        store.close()
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.list("t") == in_files
        assert all(store.get("t", name) == bytes([int(name[1:])]) * MIB for name in in_files)


def test_room_that_is_made_is_used_by_the_next_flush(tmp_path):
    with Store.open(tmp_path / "store", config=_configured(tmp_path, 2)) as store:
        names = _fill(store)
        with pytest.raises(OutOfSpace):
            store.flush()
        gone = [name for name in names if store.info("t", name).tiers == ("file",)][:4]
        for name in gone:
            store.delete("t", name)
        store.flush()
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.list("t") == [name for name in names if name not in gone]


def test_a_blob_that_changed_in_memory_holds_no_other_one_up_and_no_removal(tmp_path):
    with Store.open(tmp_path / "store", config=_configured(tmp_path, 2)) as store:
        store.put("t", "gone", b"gone")
        store.flush()
        store.delete("t", "gone")
        with store.reserve("t", "bad", 80) as reservation:
            kept = np.frombuffer(reservation.view, np.uint8)
        store.put("t", "good", b"good")
        kept[0] = 1
        with pytest.raises(Corrupt, match="blob 'bad' of tag 't' changed in memory"):
            store.flush()
        store.delete("t", "bad")
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.list("t") == ["good"]


def test_smaller_blobs_find_the_room_that_a_large_one_didnt(tmp_path):
    store = Store.open(tmp_path / "store", config=_configured(tmp_path, 2))
    for number in range(7):
        store.put("t", f"file {number}", bytes(MIB), min_persistence="long_term")
    for number, nbytes in enumerate((MIB * 3 // 2, 100_000, MIB * 3 // 2, 200_000)):
        store.put("t", f"ram {number}", bytes(nbytes))
    with pytest.raises(OutOfSpace, match="of blob 'ram [02]'.*; 1 more blob is not durable either, all others are"):
        store.flush()
    with pytest.raises(OutOfSpace):
        store.close()
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.list("t") == [*(f"file {number}" for number in range(7)), "ram 1", "ram 3"]
        assert store.get("t", "ram 3") == bytes(200_000)


def test_a_blob_that_has_to_be_written_again_holds_no_smaller_one_up(tmp_path, monkeypatch):
    """After a sync that failed, what lies in files needs other places there."""
    store = Store.open(tmp_path / "store", config=_configured(tmp_path, 2))
    store.put("t", "before", bytes(100_000))
    store.flush()
    for number in range(7):
        store.put("t", f"file {number}", bytes(MIB), min_persistence="long_term")
    store.put("t", "ram", b"r" * 200_000)

    def fails(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        with pytest.raises(StoreError):
            store.flush()
    with pytest.raises(OutOfSpace, match="of blob 'file 0'.*; 6 more blobs are not durable either, all others are"):
        store.flush()
    with pytest.raises(OutOfSpace):
        store.close()
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get("t", "ram") == b"r" * 200_000


def test_nothing_of_a_flush_without_room_is_kept_once_its_error_has_gone(tmp_path):
    store = Store.open(tmp_path / "store", config=_configured(tmp_path, 2))
    _fill(store)
    gc.collect()
    gc.disable()
    try:
        try:
            store.flush()
        except OutOfSpace as error:
            first = weakref.ref(error.__cause__)
        assert first() is None
    finally:
        gc.enable()
    with pytest.raises(OutOfSpace):
        store.close()
