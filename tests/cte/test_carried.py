"""Bytes that journals carry: what a flush promised is there after the machine went down, whatever had become of writes that no sync had followed."""

import errno
import os
import random
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest

from wrp.comm.ranks.solo import Solo
from wrp.cte import Store
from wrp.cte.folder.carried import carried, pack, unpack
from wrp.cte.folder.replay import read_changes
from wrp.errors import StoreError
from wrp.runtime.config import load

_SECTOR = 512


class Disk:
    """What of one data file is on storage for certain: a file is written through os.pwrite, and synced by os.fdatasync.

    fails : the next sync raises, and what was pending is lost, as Linux has it: the error is told once
    """

    def __init__(self, path, monkeypatch):
        self.fails = False
        self._path, self._kept, self._pending = os.fspath(path), bytearray(), []
        write, sync = os.pwrite, os.fdatasync

        def pwrite(descriptor, data, offset):
            count = write(descriptor, data, offset)
            if self._is_ours(descriptor):
                self._pending.append((offset, bytes(data[:count])))
            return count

        def fdatasync(descriptor):
            sync(descriptor)
            if self._is_ours(descriptor):
                if self.fails:
                    self.fails = False
                    self._pending.clear()
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                self._apply(self._kept, self._pending)
                self._pending.clear()
        monkeypatch.setattr(os, "pwrite", pwrite)
        monkeypatch.setattr(os, "fdatasync", fdatasync)

    def _is_ours(self, descriptor):
        return os.readlink(f"/proc/self/fd/{descriptor}") == self._path

    @staticmethod
    def _apply(content, writes):
        for offset, data in writes:
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset:offset + len(data)] = data

    def lost(self, made):
        """The file's bytes when the machine goes down now: of what wasn't synced some sectors came through, in any order."""
        content = bytearray(self._kept)
        for offset, data in made.sample(self._pending, len(self._pending)):
            sectors = [(offset + start, data[start:start + _SECTOR]) for start in range(0, len(data), _SECTOR)]
            self._apply(content, [sector for sector in sectors if made.random() < 0.5])
        return bytes(content)


@pytest.fixture
def configured(tmp_path):
    """configured(log) -> a configuration with a journal that is written anew from so many bytes on."""
    def made(log):
        path = tmp_path / "conf.yaml"
        path.write_text(f"storage: [{{path: data, bdev_type: file, capacity_limit: 64m}}, {{path: 'ram::r', bdev_type: ram, capacity_limit: 8m}}]\n"
                        f"performance: {{transaction_log_capacity: {log}}}\n")
        return load(str(path))
    return made


def opened(folder, config, write=True):
    return Store.open(str(folder), Solo(), config, write=write)


def after_the_machine_went_down(store, disk, folder, made):
    """A copy of the folder as it may be then. The journal is synced by every flush."""
    copy = folder.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(store.folder, copy)
    (copy / "data" / "0").write_bytes(disk.lost(made))
    return copy


@pytest.mark.parametrize("log", ["0", "20k", "100k"])
def test_what_was_flushed_is_there_after_the_machine_went_down(tmp_path, configured, monkeypatch, log):
    made, config, folder, expected = random.Random(log), configured(log), tmp_path / "store", {}
    folder.joinpath("data").mkdir(parents=True)
    disk = Disk(folder / "data" / "0", monkeypatch)
    store, used = opened(folder, config), 0
    for turn in range(60):
        for _ in range(made.randrange(1, 6)):
            name = f"b{made.randrange(12)}"
            if name in expected and made.random() < 0.2:
                store.delete("t", name)
                del expected[name]
            else:
                expected[name] = made.randbytes(made.choice((1, 300, 4096, 5000, 16000, 40000, 90000)))
                store.put("t", name, expected[name])
        store.flush(), store._parts.compacting.wait()
        used += any("bytes" in change for change in read_changes(store._parts.journal.path, whole=False))
        if made.random() < 0.1:
            store.close()
            store = opened(folder, config)
        if turn % 4 == 0:
            with opened(after_the_machine_went_down(store, disk, folder, made), config) as again:
                assert {name: again.get("t", name) for name in again.list("t")} == expected
    store.close()
    assert used > 20


def test_a_reader_finds_bytes_that_are_in_the_journal_only(tmp_path, configured, monkeypatch):
    config, folder = configured("0"), tmp_path / "store"
    folder.joinpath("data").mkdir(parents=True)
    disk = Disk(folder / "data" / "0", monkeypatch)
    with opened(folder, config) as store:
        for turn in range(2):           # the first one is synced where it is
            store.put("t", "b", bytes([turn]) * 3000)
            store.flush()
        copy = after_the_machine_went_down(store, disk, folder, random.Random(1))
        # a process that is killed takes nothing from what the kernel has
        shutil.copytree(store.folder, tmp_path / "killed")
    with opened(tmp_path / "killed", config, write=False) as store:
        assert store.get("t", "b") == b"\1" * 3000
    for write in (False, True, False):
        assert (copy / "data" / "0").read_bytes()[4096:7096] != b"\1" * 3000 or write or not os.listdir(copy / "journal")
        with opened(copy, config, write=write) as store:
            assert store.get("t", "b") == b"\1" * 3000 and store.get("t", "b", offset=2990) == b"\1" * 10


def test_a_journal_stays_as_it_is_when_the_files_could_not_be_synced(tmp_path, configured, monkeypatch):
    config, folder = configured("10k"), tmp_path / "store"
    with opened(folder, config) as store:
        store.put("t", "b", b"first")
        store.flush()
        journal, sync = store._parts.journal, store._tiers.sync

        def failed(*_):
            monkeypatch.setattr(store._tiers, "sync", sync)
            raise StoreError("the disk is gone")
        monkeypatch.setattr(store._tiers, "sync", failed)
        for turn in range(8):
            store.put("t", "b", bytes([turn]) * 4000)
            store.flush(), store._parts.compacting.wait()
        # what was to be written anew stays, and no more bytes come to it
        assert journal.is_kept and sum("bytes" in change for change in read_changes(journal.path, whole=False)) == 3
    with opened(folder, config) as store:
        assert store.get("t", "b") == b"\7" * 4000


@pytest.fixture
def carrying(tmp_path, configured):
    """(folder, its configuration) of a store that was killed, whose second blob is in the journal and the data file."""
    config = configured("0")
    with opened(tmp_path / "alive", config) as store:
        for blob in ("a", "b"):
            store.put("t", blob, blob.encode() * 3000)
            store.flush()
        assert any("bytes" in change for change in read_changes(store._parts.journal.path, whole=False))
        shutil.copytree(tmp_path / "alive", tmp_path / "store")
    return tmp_path / "store", config


def test_an_opening_without_the_data_file_leaves_the_bytes_in_the_journal(carrying):
    folder, config = carrying
    (folder / "data" / "0").rename(folder / "aside")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in ("lock", "members")}
    with pytest.raises(StoreError, match="data file .*/data/0 isn't there, and journals hold bytes of blobs that belong in it: run where it is"):
        opened(folder, config)
    assert before == {path: path.read_bytes() for path in before}
    with opened(folder, config, write=False) as store:
        assert store.get("t", "b") == b"b" * 3000
    # it comes back without what no sync had followed
    data = (folder / "aside").read_bytes()
    (folder / "data" / "0").write_bytes(data[:4096])
    with opened(folder, config) as store:
        assert [store.get("t", blob) for blob in ("a", "b")] == [b"a" * 3000, b"b" * 3000]


@pytest.mark.parametrize("call", ["open", "pread"])
def test_a_reader_takes_from_the_journal_what_the_file_cannot_give(carrying, monkeypatch, call):
    folder, config = carrying
    original = getattr(os, call)

    def failing(what, *args):
        path = what if call == "open" else os.readlink(f"/proc/self/fd/{what}")
        if str(path).endswith("/data/0"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(what, *args)
    monkeypatch.setattr(os, call, failing)
    with opened(folder, config, write=False) as store:
        assert store.get("t", "b") == b"b" * 3000


@pytest.fixture
def failing(tmp_path, configured, monkeypatch):
    """(store, Disk of its data file), with a blob in both."""
    folder = tmp_path / "store"
    folder.joinpath("data").mkdir(parents=True)
    disk = Disk(folder / "data" / "0", monkeypatch)
    with opened(folder, configured("10k")) as store:
        store.put("t", "first", b"1" * 3000)
        store.flush()
        yield store, disk


def assert_kept(store, disk, **expected):
    with opened(after_the_machine_went_down(store, disk, Path(store.folder), random.Random(1)), store.config) as again:
        assert {name: again.get("t", name) for name in expected} == expected


def test_what_lies_in_a_file_is_written_again_when_a_sync_has_failed(failing):
    store, disk = failing
    for name, nbytes in (("large", 9 << 20), ("small", 100)):
        store.put("t", name, name[:1].encode() * nbytes, min_persistence="long_term")
    disk.fails = True
    with pytest.raises(StoreError, match="can't be written: Input/output error"):
        store.flush()
    before = store.extents("t", "large")
    store.flush()
    assert not set(before) & set(store.extents("t", "large"))
    assert_kept(store, disk, first=b"1" * 3000, large=b"l" * (9 << 20), small=b"s" * 100)
    store.destroy("t")
    store.flush()
    assert all(target.remaining == target.capacity for target in store.targets())


def test_a_batch_hears_of_an_error_of_the_storage_that_nobody_was_told(failing):
    store, disk = failing
    batch = store.batch("on its way")
    batch.put("t", "b", b"b" * 100_000)
    disk.fails = True
    for _ in range(8):              # the journal is to be written anew then, by a thread
        store.put("t", "often", b"o" * 4000)
        with suppress(StoreError):  # its bytes may be on their way when the thread meets the error
            store.flush()
    stop = time.monotonic() + 30
    while disk.fails:
        assert time.monotonic() < stop, "no journal was written anew"
        time.sleep(0.01)
    with pytest.raises(StoreError, match="its storage failed while these bytes were on their way"), batch:
        pass
    with store.batch("again") as batch:
        batch.put("t", "b", b"b" * 100_000)
    store.flush()
    assert_kept(store, disk, first=b"1" * 3000, often=b"o" * 4000, b=b"b" * 100_000)


@pytest.mark.parametrize("data", [b"", b"WRP", b"WRPF" * 3, b"PF", b"aWRPFb\0", b"WRP\0F", bytes(range(256)) * 20, b"W", b"WR"])
def test_no_frame_begins_in_what_is_packed(data):
    packed = pack(data)
    assert unpack(packed) == data
    for before in (b"", b"W", b"WR", b"WRP"):
        assert b"WRPF" not in (before + packed + b"PF")[:-1]


@pytest.mark.parametrize("wrong", [["x"], [b"\0short\0"], 7, [b"\0" + bytes(4) + b"\0"] * 2, [None]])
def test_bytes_that_no_flush_writes_are_refused(wrong):
    plain = ["t\0b", 2, 1, 4, 0, 1.0, [[1, 0, 4, 0x2144DF1C]]]
    assert carried([{"put": [plain], "bytes": [pack(bytes(4))]}]) == {(1, 0, 4, 0x2144DF1C): bytes(4)}
    with pytest.raises((TypeError, ValueError, AttributeError)):
        carried([{"put": [plain], "bytes": wrong}])
