"""A store that flushes by itself: what a killed job leaves, what is left alone, errors; and journals that are written anew when they have grown long."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.folder import Journal
from wrp.cte.folder.replay import fewest, newest, read_changes
from wrp.cte.targetnumbers import is_durable
from wrp.errors import OutOfSpace, StoreBusy, StoreError, UsageError, WaitTimeout
from wrp.runtime.config import load

STORAGE = "storage: [{path: 'ram::r', capacity_limit: 4m}, {path: data, bdev_type: file, capacity_limit: 32m}%s]\n"

WRITER = """
import sys, time
from wrp.cte import Store
from wrp.runtime.config import load
store = Store.open(sys.argv[1], config=load(sys.argv[2]))
store.put("t", "gone", b"x" * 1000)
store.flush()
store.put("t", "kept", b"y" * 3_000_000)
store.put("t", "small", b"z")
store.delete("t", "gone")
while any(tag.dirty for tag in store.statistics()[0].values()) or store._changes.owed:
    time.sleep(0.01)
print("written", flush=True)
time.sleep(60)
"""


def configured(tmp_path, more="", **performance):
    path = tmp_path / "periodic.yaml"
    path.write_text(STORAGE % more + "performance: {%s}\n" % ", ".join(f"{key}: {value}" for key, value in performance.items()))
    return path


def until(reached, what=""):
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def dirty(store):
    return sorted(record.name.replace("\0", "/") for record in store._catalog.scan(dirty=True))


def test_kill_9_after_a_period_loses_nothing(tmp_path, folder):
    conf = configured(tmp_path, flush_data_period_ms=50)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(conf)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)
    with Store.open(folder, write=False) as store:
        assert store.list("t") == ["kept", "small"]
        assert store.get("t", "kept") == b"y" * 3_000_000 and store.get("t", "small") == b"z"


def test_without_a_period_nothing_is_flushed(tmp_path, folder):
    with Store.open(folder, config=load(configured(tmp_path))) as store:
        store.put("t", "a", b"x")
        time.sleep(0.3)
        assert dirty(store) == ["t", "t/a"]


def test_metadata_is_what_needs_no_bytes_moved(tmp_path, folder):
    with Store.open(folder, config=load(configured(tmp_path, flush_metadata_period_ms=20))) as store:
        store.put("t", "ram", b"x" * 1000)
        store.put("t", "file", b"y" * 5000, min_persistence="long_term")
        store.put("t", "empty", b"")
        until(lambda: dirty(store) == ["t/ram"])
        written = store._tiers.counters.read()[1].writes
        time.sleep(0.1)
        assert dirty(store) == ["t/ram"] and store._tiers.counters.read()[1].writes == written == 1


@pytest.mark.parametrize("least, left", [(0, ["t/ram", "t/scratch"]), (1, ["t/scratch"]), (2, [])])
def test_bytes_stay_on_targets_that_last_long_enough(tmp_path, folder, least, left):
    scratch = f", {{path: {tmp_path}/scratch, bdev_type: file, capacity_limit: 8m, persistence_level: temporary, score: 0.5}}"
    path = configured(tmp_path, scratch, flush_data_period_ms=20, flush_data_min_persistence=least)
    with Store.open(folder, config=load(path)) as store:
        store.put("t", "ram", b"x" * 1000)
        store.put("t", "scratch", b"y" * 5000)
        assert store.move("t", "scratch", f"{tmp_path}/scratch")
        until(lambda: not any(is_durable(extent[0]) for record in store._catalog.scan(dirty=True) for extent in record.extents))
        store.put("t", "scratch", b"z" * 5000, min_persistence="temporary")
        until(lambda: dirty(store) == [name for name in left if name != "t/scratch" or store.extents("t", "scratch")[0][0] > 1])


def test_a_put_and_a_get_go_on_while_it_flushes(tmp_path, folder, monkeypatch):
    with Store.open(folder, config=load(configured(tmp_path, flush_data_period_ms=10))) as store:
        sync, inside, go = store._parts.sync, threading.Event(), threading.Event()

        def slow(*args):
            inside.set()
            assert go.wait(20)
            sync(*args)
        monkeypatch.setattr(store._parts, "sync", slow)
        store.put("t", "a", b"x" * 1000)
        assert inside.wait(20)
        for number in range(100):
            store.put("t", str(number), bytes([number]) * 20_000)
            assert store.get("t", str(number)) == bytes([number]) * 20_000
        assert store.get("t", "a") == b"x" * 1000 and not go.is_set()
        go.set()
        until(lambda: not dirty(store))


def test_a_blob_that_is_put_again_while_it_is_copied_does_not_make_its_writers_wait(open_store, folder, tmp_path, monkeypatch):
    """The journal then has what the blob was when it was copied for the second time, by itself. A put inside a copy would wait for ever if it waited for the flush."""
    store, turn = open_store(), []
    write = store._tiers.write
    store.put("t", "b", bytes([0]) * 300_000)

    def put_meanwhile(*args):
        turn.append(len(turn) + 1)
        store.put("t", "b", bytes([len(turn)]) * 300_000)
        write(*args)
    for flushed in range(3):
        monkeypatch.setattr(store._tiers, "write", put_meanwhile)
        store.flush()
        monkeypatch.undo()
        assert len(turn) == 2 * flushed + 2 and store.get("t", "b") == bytes([2 * flushed + 2]) * 300_000 and dirty(store) == ["t/b"]
        shutil.copytree(folder, tmp_path / f"killed{flushed}")
        with Store.open(tmp_path / f"killed{flushed}", write=False) as killed:
            assert killed.get("t", "b") == bytes([2 * flushed + 1]) * 300_000
    store.flush()
    assert not dirty(store)
    store.destroy("t")
    store.flush()
    assert [target.capacity for target in store.targets()][1:] == [target.remaining for target in store.targets()][1:]


def failing(store, monkeypatch):
    def full(*_):
        raise OutOfSpace("the journal has no room")
    monkeypatch.setattr(store._parts.journal, "add", full)
    store.put("t", "a", b"x")
    until(lambda: store._parts.failure is not None)


SENTENCE = "a flush that the store made by itself failed: the journal has no room; what was put or removed since .* isn't durable until a flush succeeds"


def test_an_error_is_raised_by_the_next_change_and_by_no_other(tmp_path, folder, monkeypatch):
    with Store.open(folder, config=load(configured(tmp_path, flush_data_period_ms=20))) as store:
        failing(store, monkeypatch)
        assert store.get("t", "a") == b"x"
        with pytest.raises(OutOfSpace, match=SENTENCE):
            store.put("t", "b", b"never put")
        assert not store.exists("t", "b")
        monkeypatch.undo()
        until(lambda: not dirty(store))
        store._parts.failure = None
        store.put("t", "b", b"y")
    with Store.open(folder, write=False) as store:
        assert (store.get("t", "a"), store.get("t", "b")) == (b"x", b"y")


@pytest.mark.parametrize("call", ["flush", "close"])
def test_a_flush_or_close_that_does_what_one_before_could_not_raises_nothing(tmp_path, folder, monkeypatch, call):
    store = Store.open(folder, config=load(configured(tmp_path, flush_data_period_ms=20)))
    failing(store, monkeypatch)
    store._periodic.stop()
    monkeypatch.undo()
    getattr(store, call)()
    if call == "flush":
        store.put("t", "b", b"y")
    store.close()
    with Store.open(folder, write=False) as store:
        assert store.get("t", "a") == b"x"


def test_a_journal_that_has_grown_long_is_written_anew(tmp_path, folder):
    config = load(configured(tmp_path, transaction_log_capacity="16k"))
    with Store.open(folder, config=config) as store:
        store.put("t", "old", b"old")
    with Store.open(folder, config=config) as store:
        store.delete("t", "old")
        longest, journal = 0, store._parts.journal
        for turn in range(400):
            store.put("t", str(turn % 10), b"%d" % turn)
            store.put("t", f"passing {turn}", b"x")
            store.flush()
            store.delete("t", f"passing {turn}")
            store.flush()
            store._parts.compacting.wait()
            longest = max(longest, os.path.getsize(journal.path))
        assert longest < 32 << 10
        state = newest(read_changes(journal.path, whole=False))
        assert state["t\0old"].plain is None, "what the snapshot has stays removed"
        assert sum(each.plain is None for each in state.values()) < 150
        assert store.list("t") == [str(number) for number in range(10)]
        shutil.copytree(folder, tmp_path / "killed")
    for each in (folder, tmp_path / "killed"):
        with Store.open(each, write=False) as store:
            assert {blob: store.get("t", blob) for blob in store.list("t")} == {str(turn % 10): b"%d" % turn for turn in range(390, 400)}


def test_batches_alone_keep_the_journal_short(tmp_path, folder):
    with Store.open(folder, config=load(configured(tmp_path, transaction_log_capacity="8k"))) as store:
        for turn in range(200):
            with store.batch("turn") as batch:
                batch.put("t", "a", b"%d" % turn)
            store._parts.compacting.wait()
        assert os.path.getsize(store._parts.journal.path) < 16 << 10
    with Store.open(folder, write=False) as store:
        assert store.get("t", "a") == b"199"


def put(name, stamp, value=0):
    return [name, 2, stamp, value, 0, 1.0, [], stamp, 0, 0, 0, 0]


def test_fewest_says_what_all_said():
    changes = [{"put": [put("a", 1), put("b", 2)]}, {"put": [put("a", 1, 7)], "order": 9}, {"remove": [["b", 3], ["c", 4]]}, {"put": [put("d", 5)]}]
    short = fewest(changes, lambda removals: {"c"} & set(removals))
    assert newest(short) == {name: each for name, each in newest(changes).items() if name != "b"}
    assert sum(len(change.get("put", ())) + len(change.get("remove", ())) for change in short) == 3


def test_a_tag_is_what_its_home_says_of_it():
    """However late another node has written it down; unless it was removed since, and of what nobody else says anything."""
    def put(stamp, *guests):
        return {"put": [["t", 1, stamp, 0, 0, 1.0, [], stamp, 0, 0, 0, 0]], "order": stamp, **({"guests": guests} if guests else {})}
    home, late, removal, again = put(5), put(9, "t"), {"remove": [["t", 7]]}, put(11)
    for changes, stamp in (([home, late], 5), ([late], 9), ([put(3, "t"), home], 5), ([home, removal, late], 9), ([home, late, {"remove": [["t", 10]]}], None),
                           ([home, late, removal, again, put(12, "t")], 11)):
        for order in (changes, changes[::-1]):
            found = newest(order)["t"]
            assert (found.stamp if found.plain is not None else None) == stamp
    assert fewest([put(9, "t"), {"put": [["t\0b", 2, 9, 0, 0, 1.0, [], 9, 0, 0, 0, 0]], "order": 9}], lambda removals: removals)[0]["guests"] == ["t"]


@pytest.mark.parametrize("call", ["open", "pwrite", "fsync", "replace"])
def test_a_journal_that_can_not_be_written_anew_stays(tmp_path, monkeypatch, call):
    journal = Journal(str(tmp_path / "0-0"), capacity=100)
    for stamp in range(1, 20):
        journal.append({"put": [put("a", stamp)]})
    original = getattr(os, call)

    def failed(*args, **kwargs):
        if str(args[0]).endswith(".new") or call in ("pwrite", "fsync"):
            raise OSError(errno.ENOSPC, "no room")
        return original(*args, **kwargs)
    monkeypatch.setattr(os, call, failed)
    journal.shorten(set, journal.nbytes)
    monkeypatch.undo()
    journal.append({"put": [put("b", 30)]})
    assert journal.is_long or journal._limit > journal._nbytes
    journal.shorten(set, journal.nbytes)
    journal.append({"put": [put("c", 31)]})
    journal.close()
    assert {name: each.stamp for name, each in newest(read_changes(journal.path, whole=False)).items()} == {"a": 19, "b": 30, "c": 31}


def test_what_is_added_while_a_journal_is_written_anew_is_in_it(tmp_path):
    """At whatever moment; nothing but the change of files holds it up."""
    journal, added = Journal(str(tmp_path / "0-0"), capacity=100), {}

    def add(name):
        added[name] = 100 + len(added)
        journal.append({"put": [put(name, added[name])]})

    def pace(items):
        for item in items:
            add("b"), add(f"c{len(added)}")
            yield item
    for stamp in range(1, 20):
        journal.append({"put": [put("a", stamp)], "bytes": [b"\0\0"]})
    add("b")
    nbytes = journal.nbytes
    journal.shorten(lambda removals: removals, nbytes, pace)
    add("d")
    journal.close()
    changes = read_changes(journal.path, whole=False)
    assert {name: each.stamp for name, each in newest(changes).items()} == {"a": 19, **added} and len(added) > 30
    assert not any("bytes" in change for change in changes) and os.listdir(tmp_path) == ["0-0"]


def test_a_frame_that_is_refused_while_a_journal_is_written_anew_stays_refused(tmp_path, monkeypatch):
    journal, has_read = Journal(str(tmp_path / "0-0"), capacity=100), threading.Event()
    for stamp in range(1, 20):
        journal.append({"put": [put("a", stamp)]})

    def pace(items):
        has_read.set()
        return items
    renewal = threading.Thread(target=journal.shorten, args=(set, journal.nbytes, pace))

    def failed(descriptor):
        monkeypatch.undo()
        renewal.start()             # the frame is whole in the file
        assert has_read.wait(20)
        raise OSError(errno.EIO, "it can't be synced")
    monkeypatch.setattr(os, "fdatasync", failed)
    with pytest.raises(StoreError, match="what this call promised is not kept"):
        journal.append({"put": [put("a", 99)]})
    renewal.join()
    journal.close()
    assert {name: each.stamp for name, each in newest(read_changes(journal.path, whole=False)).items()} == {"a": 19}


def test_nothing_is_added_to_a_journal_whose_name_may_be_lost(tmp_path, monkeypatch):
    journal = Journal(str(tmp_path / "0-0"), capacity=100)
    journal.append({"put": [put("a", 1)]})

    def failed(path):
        raise OSError(errno.EIO, "the folder can't be synced")
    monkeypatch.setattr("wrp.cte.folder.journal.sync_path", failed)
    journal.shorten(set, journal.nbytes)
    with pytest.raises(StoreError, match="could not be written before: close the store"):
        journal.append({"put": [put("b", 2)]})
    journal.close()
    assert list(newest(read_changes(journal.path, whole=False))) == ["a"]


@pytest.mark.mpi
def test_what_any_rank_has_put_or_removed_is_written_down(shared_folder, tmp_path):
    ranks = world()
    if ranks.nodes > 1:
        pytest.skip("of several nodes: nodes/test_ends.py")
    with Store.open(shared_folder, ranks, config=load(configured(tmp_path, flush_data_period_ms=30, transaction_log_capacity="4k"))) as store:
        for turn in range(40):
            store.put("t", f"{ranks.rank} {turn}", b"x" * 1000)
        until(lambda: not dirty(store), "put")
        for turn in range(20):
            store.delete("t", f"{ranks.rank} {turn}")
        until(lambda: not store._changes.owed, "removed")
        ranks.barrier("all is written down")
        files = store._parts.folder
        if ranks.rank == 0:
            names = os.listdir(os.path.join(files.path, "journal"))
            state = newest(change for name in names for change in read_changes(os.path.join(files.path, "journal", name), whole=False))
            live = sorted(name for name, each in state.items() if each.plain is not None)
            assert live == sorted(["t", *(f"t\0{rank} {turn}" for rank in range(ranks.size) for turn in range(20, 40))])
        ranks.barrier("rank 0 has looked")


def test_a_store_whose_storage_hangs_says_so_when_it_is_closed_and_keeps_its_folder(tmp_path, folder, monkeypatch):
    """Whoever had the folder next could have the late bytes over its own."""
    config = configured(tmp_path, flush_data_period_ms=20)
    config.write_text(config.read_text() + "runtime: {timeout_s: 0.5}\n")
    store = Store.open(folder, config=load(config))
    parts, hangs, answers = store._parts, threading.Event(), threading.Event()
    monkeypatch.setattr(store._tiers, "sync", lambda _: (hangs.set(), answers.wait()))
    store.put("t", "a", b"x" * 300_000)
    try:
        assert hangs.wait(60)
        with pytest.raises(WaitTimeout, match=rf"store {folder} can't be closed: the thread wrp-flush of process {os.getpid()} hasn't ended within 0.5 s"):
            store.close()
        with pytest.raises(StoreBusy, match="is open in this process already: "):
            Store.open(folder)
        with pytest.raises(UsageError):
            store.put("t", "b", b"x")
    finally:
        answers.set()
        until(lambda: not any(thread.name == "wrp-flush" for thread in threading.enumerate()))
        parts.is_stuck = False
        parts.drop()
    with Store.open(folder) as store:
        assert store.tags() in ([], ["t"])


def test_a_close_waits_for_a_flush_that_goes_on_longer_than_for_a_silent_storage(tmp_path, folder, monkeypatch):
    config = configured(tmp_path, flush_data_period_ms=20)
    config.write_text(config.read_text() + "runtime: {timeout_s: 0.5}\n")
    store = Store.open(folder, config=load(config))
    tiers, sync, begun = store._tiers, store._tiers.sync, threading.Event()

    def slow(targets):
        monkeypatch.setattr(tiers, "sync", sync)
        begun.set()
        for _ in range(10):
            time.sleep(0.2)
            tiers.counters.note(1, True, 0)         # as of the next of many blobs
        sync(targets)
    monkeypatch.setattr(tiers, "sync", slow)
    store.put("t", "a", b"x" * 300_000)
    assert begun.wait(60)
    store.put("t", "b", b"y" * 300_000)
    store.close()
    with Store.open(folder) as store:
        assert store.list("t") == ["a", "b"]
