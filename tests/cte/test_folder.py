"""The folder of a store: journals replayed, torn tails cut, damage and other versions refused, one writer at a time."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from wrp.cte.folder import Folder, Journal, frames, lock, salvage
from wrp.cte.records import TAG, Record, to_plain
from wrp.errors import StoreBusy, StoreError, StoreVersion, UsageError, WaitTimeout


def record(name, stamp, size=3):
    extents = ((1, 4096 * stamp, size, 77),)
    return Record(name, 2, stamp, size, 77, 1.0, extents, extents, False, journaled=True)


def opened(path, write=True):
    folder = Folder(path, write)
    try:
        found = folder.open(1)
        folder.member(folder.header)
    except BaseException:
        folder.close()
        raise
    return folder, found


def written(path, *changes, rank=0):
    folder, _ = opened(path)
    journal = Journal(folder.journal_path(rank))
    for change in changes:
        journal.append(change)
    journal.close()
    folder.close()
    return folder.journal_path(rank)


def found_in(path):
    folder, found = opened(path)
    folder.close()
    return found


def test_new_folder_is_empty(tmp_path):
    assert found_in(tmp_path / "s") == {}


def test_journal_comes_back_and_is_compacted(tmp_path):
    path = tmp_path / "s"
    written(path, {"put": [to_plain(record("t\0a", 1)), to_plain(record("t\0b", 2))]}, {"remove": [["t\0a", 3]]})
    first = found_in(path)
    assert first == {"t\0b": record("t\0b", 2)}
    assert os.listdir(path / "journal") == []
    assert found_in(path) == first


def test_newest_stamp_wins_over_ranks(tmp_path):
    path = tmp_path / "s"
    folder, _ = opened(path)
    for rank, stamp in ((0, 9), (1, 5)):
        journal = Journal(folder.journal_path(rank))
        journal.append({"put": [to_plain(record("t\0a", stamp))], "remove": [["t\0gone", stamp]]})
        journal.append({"put": [to_plain(record("t\0gone", 7))]})
        journal.close()
    folder.close()
    assert found_in(path) == {"t\0a": record("t\0a", 9)}


def test_torn_tail_is_cut_at_every_length(tmp_path):
    path = tmp_path / "s"
    first = frames.encode({"put": [to_plain(record("t\0a", 1))]})
    second = frames.encode({"put": [to_plain(record("t\0b", 2))]})
    for cut in range(len(second)):
        values, end = frames.decode_all(first + second[:cut])
        assert len(values) == 1 and end == len(first)
    journal = written(path, {"put": [to_plain(record("t\0a", 1))]})
    with open(journal, "ab") as file:
        file.write(second[:-1])
    assert list(found_in(path)) == ["t\0a"]


def test_a_journal_has_room_behind_its_frames(tmp_path):
    """A sync of the next frame then writes nothing but its blocks; whoever reads it meanwhile, or after a kill -9, sees the frames."""
    path = tmp_path / "s"
    folder, _ = opened(path)
    journal = Journal(folder.journal_path(0))
    sizes = set()
    for stamp in range(1, 100):
        journal.append({"put": [to_plain(record("t\0a", stamp))]})
        with open(journal.path, "rb") as file:
            data = file.read()
        values, end = frames.decode_all(data)
        assert len(values) == stamp and not any(data[end:])
        sizes.add((len(data), os.stat(journal.path).st_blocks))
    assert len(sizes) == 1 and sizes.pop()[1] * 512 >= len(data)
    folder.close()
    shutil.copytree(path, tmp_path / "killed")
    journal.close()
    assert os.path.getsize(journal.path) == end + len(frames.encode({"closed": True}))
    for left in (path, tmp_path / "killed"):
        assert found_in(left) == {"t\0a": record("t\0a", 99)}


def test_a_journal_that_is_closed_has_what_another_thread_was_adding_and_takes_no_more(tmp_path, monkeypatch):
    folder, _ = opened(tmp_path / "s")
    journal, syncs, goes_on, errors = Journal(folder.journal_path(0)), threading.Event(), threading.Event(), []
    sync = os.fdatasync

    def slow(descriptor):
        syncs.set()
        assert goes_on.wait(60)
        sync(descriptor)

    def adds():
        try:
            journal.append({"put": [to_plain(record("t\0a", 1))]})
        except Exception as error:
            errors.append(error)

    monkeypatch.setattr(os, "fdatasync", slow)
    threads = [threading.Thread(target=work) for work in (adds, journal.close)]
    threads[0].start()
    assert syncs.wait(60)
    with pytest.raises(WaitTimeout, match=f"can't be closed: another thread of process {os.getpid()} has been adding to it for 0.1 s"):
        journal.close(0.1)
    threads[1].start()
    threads[1].join(0.2)
    goes_on.set()
    for thread in threads:
        thread.join(60)
    with pytest.raises(UsageError, match="was closed meanwhile"):
        journal.append({"put": [to_plain(record("t\0b", 2))]})
    journal.close()
    folder.close()
    assert not errors and found_in(tmp_path / "s") == {"t\0a": record("t\0a", 1)}


@pytest.mark.parametrize("name", [".nfs000000000001f00d00000001", "1-0~", "notes"])
def test_other_files_beside_journals_are_left_alone(tmp_path, name):
    path, tag = tmp_path / "s", Record("t", TAG, 1, dirty=False, journaled=True)
    written(path, {"put": [to_plain(tag)]})
    (path / "journal" / name).write_bytes(b"no journal")
    assert salvage(path).damaged == []
    assert found_in(path) == {"t": tag} and os.listdir(path / "journal") == [name]


@pytest.mark.parametrize("cut", [1, 15, 16, 40])
def test_a_torn_frame_before_zeros_is_cut(tmp_path, cut):
    first, second = (frames.encode({"put": [to_plain(record("t\0a", stamp))]}) for stamp in (1, 2))
    journal = written(tmp_path / "s")
    with open(journal, "wb") as file:
        file.write(first + second[:cut] + bytes(5000))
    assert found_in(tmp_path / "s") == {"t\0a": record("t\0a", 1)}


def test_a_disk_without_room_for_zeros_takes_frames(tmp_path, monkeypatch):
    path, original = tmp_path / "s", os.pwrite

    def full(descriptor, data, offset):
        if len(data) > 4096:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(descriptor, data, offset)
    monkeypatch.setattr(os, "pwrite", full)
    written(path, *({"put": [to_plain(record("t\0a", stamp))]} for stamp in range(1, 9)))
    monkeypatch.undo()
    assert found_in(path) == {"t\0a": record("t\0a", 8)}


def test_damage_in_the_middle_is_refused_not_skipped(tmp_path):
    path = tmp_path / "s"
    journal = written(path, {"put": [to_plain(record("t\0a", 1))]}, {"put": [to_plain(record("t\0b", 2))]})
    with open(journal, "r+b") as file:
        file.seek(25)
        file.write(b"\xff")
    with pytest.raises(StoreError, match="damaged at byte 0"):
        opened(path)


@pytest.mark.parametrize("turned", [True, False])
def test_the_last_place_of_bytes_written_twice_counts(tmp_path, turned):
    """Two ranks may flush one state of a blob, one after the other; the first place is free then."""
    places = [record("t\0a", 5).but(durable=((1, offset, 3, 77),)) for offset in (4096, 0)]
    changes = [{"put": [to_plain(place)], "order": order} for order, place in enumerate(places)]
    written(tmp_path / "s", *(changes[::-1] if turned else changes))
    assert found_in(tmp_path / "s")["t\0a"].durable == places[1].durable


def test_damaged_snapshot_is_refused(tmp_path):
    path = tmp_path / "s"
    written(path, {"put": [to_plain(record("t\0a", 1))]})
    found_in(path)
    with open(path / "snapshot", "r+b") as file:
        file.truncate(os.path.getsize(path / "snapshot") - 3)
    with pytest.raises(StoreError, match="snapshot is damaged"):
        opened(path)


def test_other_version_is_refused(tmp_path):
    path = tmp_path / "s"
    found_in(path)
    header = json.loads((path / "STORE").read_text())
    (path / "STORE").write_text(json.dumps(dict(header, format=99)))
    with pytest.raises(StoreVersion, match="has format 99, this wrp reads formats 1 to 7"):
        opened(path)


def test_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="holds other files and no store"):
        opened(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_reading_needs_a_store(tmp_path):
    with pytest.raises(StoreError, match="there is no store at"):
        opened(tmp_path / "none", write=False)
    with pytest.raises(StoreError, match="is not a store of wrp"):
        opened(tmp_path, write=False)


def test_unusable_paths_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be made or written"):
        opened(tmp_path / "file" / "s")


HOLD = """
import os, sys
from wrp.cte.folder import Folder
folder = Folder(sys.argv[1], sys.argv[2] != "read")
folder.open(1)
if sys.argv[2] != "read":
    folder.member(folder.header)
if sys.argv[2] == "member":
    os.close(folder._lock._held["lock"])
print("held", flush=True)
sys.stdin.read()
"""


def test_writers_wait_a_moment_for_readers(tmp_path):
    path = str(tmp_path / "s")
    found_in(path)
    reader, _ = opened(path, write=False)
    threading.Timer(0.3, reader.close).start()
    opened(path)[0].close()


def test_files_honour_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        written(tmp_path / "s", {"put": [to_plain(record("t\0a", 1))]})
    finally:
        os.umask(before)
    modes = {file.relative_to(tmp_path).as_posix(): file.stat().st_mode & 0o777 for file in (tmp_path / "s").rglob("*") if file.is_file()}
    assert modes and set(modes.values()) == {0o640}, modes


@pytest.mark.parametrize("how", ["write", "read"])
def test_one_writer_or_many_readers(tmp_path, how, monkeypatch):
    monkeypatch.setattr(lock, "READERS_WAIT_S", 0.2)
    path = str(tmp_path / "s")
    found_in(path)
    with subprocess.Popen([sys.executable, "-c", HOLD, path, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            sentence = f"in use by another job .process {other.pid} " if how == "write" else "being read by another process"
            with pytest.raises(StoreBusy, match=sentence):
                opened(path)
            if how == "read":
                opened(path, write=False)[0].close()
        finally:
            other.kill()
    found_in(path)          # kill -9 of the holder freed it


def test_who_has_the_folder_open_itself_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "READERS_WAIT_S", 0.2)
    path = str(tmp_path / "s")
    writer = opened(path)[0]
    for write in (True, False):
        with pytest.raises(StoreBusy, match="is open in this process already: use what has opened it, or close that first"):
            opened(path, write=write)
    writer.close()
    readers = [opened(path, write=False)[0] for _ in range(2)]
    with pytest.raises(StoreBusy, match="is open in this process already"):
        opened(path)
    for reader in readers:
        reader.close()
    opened(path)[0].close()


def test_who_opens_a_folder_that_ranks_of_another_job_still_have_is_told_which(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "MEMBERS_WAIT_S", 0.2)
    path = str(tmp_path / "s")
    found_in(path)
    with subprocess.Popen([sys.executable, "-c", HOLD, path, "member"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(StoreBusy, match=rf"still have it open after 0 s \(process {other.pid} on .*\): end them"):
                opened(path)
        finally:
            other.kill()
    found_in(path)
