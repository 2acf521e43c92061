"""Ranges of one blob in one change. Random ones, flushes and re-openings: test_model.py; several ranks: test_segments_mpi.py."""

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from wrp.cte import Store, changes
from wrp.cte.client import Client
from wrp.errors import Changed, NoSuchBlob, RangeError, UsageError

MIB = 1 << 20


@pytest.mark.parametrize("ram", ["32m", "64k"])
def test_only_extents_that_a_range_touches_are_written(open_store, ram):
    store = open_store(ram=ram)
    whole = bytearray(np.random.default_rng(1).bytes(18 * MIB))
    store.put("t", "b", whole)
    store.flush()
    before = store.extents("t", "b")
    segments = [(5 * MIB, b"first" * 1000), (5 * MIB + 3, b"later"), (17 * MIB, b"x"), (19 * MIB, np.arange(10.0)), (20 * MIB, b"")]
    store.put_segments("t", "b", segments)
    whole.extend(bytes(2 * MIB))
    for offset, data in segments:
        whole[offset:offset + len(bytes(data))] = bytes(data)
    assert store.get("t", "b") == whole and store.size("t", "b") == 20 * MIB
    assert set(store.extents("t", "b")) & set(before) == {before[0], before[2], before[3]}
    store.close()
    store = open_store(ram=ram)
    assert store.get_segments("t", "b", [(5 * MIB, 10), (0, 0), (19 * MIB - 1, 5), (17 * MIB, 1)]) == \
        [bytes(whole[5 * MIB:5 * MIB + 10]), b"", bytes(whole[19 * MIB - 1:19 * MIB + 4]), b"x"]
    store.destroy("t")
    store.flush()
    assert all(store._tiers.free(target) == store._tiers.device(target).capacity for target in (0, 1))


def test_what_is_refused_changes_nothing(open_store):
    store = open_store()
    store.put("t", "b", b"0123456789")
    stamp = store.info("t", "b").stamp
    for segments, kind in (([], UsageError), ([(-1, b"x")], UsageError), ([(0, b"x"), (3, 5)], UsageError)):
        with pytest.raises(kind):
            store.put_segments("t", "b", segments)
    with pytest.raises(Changed):
        store.put_segments("t", "b", [(0, b"x")], if_generation=stamp + 1)
    for call, kind in ((lambda: store.get_segments("t", "b", [(0, 1), (8, 3)]), RangeError), (lambda: store.get_segments("t", "c", [(0, 1)]), NoSuchBlob)):
        with pytest.raises(kind):
            call()
    assert store.get("t", "b") == b"0123456789" and store.info("t", "b").stamp == stamp
    store.put_segments("t", "b", [(0, b"x")], if_generation=stamp)
    with Client(store) as client:
        client.put_segments("t", "b", [(1, np.array([ord("y")], "u1")), (12, b"z")])
        assert client.get_segments("t", "b", [(0, 3), (10, 3)]) == [b"xy2", b"\0\0z"]


def test_space_that_comes_again_with_the_same_bytes_is_given_back_once(open_store, monkeypatch):
    """The blob goes while something is appended to what it was, and what is written gets its place."""
    store, real, seen = open_store(ram="8m"), changes.spliced, []
    store.put("t", "b", b"x" * 900)

    def spliced(tiers, old, *more):
        if not seen:
            store.delete("t", "b")
        found = real(tiers, old, *more)
        seen.append(found[0])
        return found

    monkeypatch.setattr(changes, "spliced", spliced)
    store.append("t", "b", b"x" * 900)
    assert seen[0][0] == seen[0][1], "the place didn't come again: this test looks at nothing"
    assert store.get("t", "b") == b"x" * 900


def test_ranges_of_frames(open_store):
    store = open_store()
    store.set_compression("t", "zlib")
    store.put("t", "b", b"a" * 50_000)
    store.put_segments("t", "b", [(10, b"bb"), (60_000, b"end")])
    assert store.info("t", "b").codec == "zlib" and store.get_segments("t", "b", [(9, 4), (49_999, 2), (60_000, 3)]) == [b"abba", b"a\0", b"end"]


def test_readers_see_all_ranges_or_none(open_store):
    store, done = open_store(), threading.Event()
    places = [0, 70_000, 200_000]
    store.put_segments("t", "b", [(place, bytes([1]) * 60_000) for place in places])

    def write():
        for turn in range(2, 60):
            store.put_segments("t", "b", [(place, bytes([turn]) * 60_000) for place in places])
        done.set()
    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert len({data[:1] for data in store.get_segments("t", "b", [(place + 100, 50_000) for place in places])}) == 1
    writer.join()


WRITER = """
import sys
from wrp.cte import Store
store = Store.open(sys.argv[1])
for turn in range(1, 250):
    store.put_segments("t", "b", [(place, bytes([turn]) * 9000) for place in (0, 100_000, 5_000_000)])
    if turn % 2:
        store.flush()
        print(turn, flush=True)
"""


def test_killed_between_flushes_all_ranges_or_none_are_there(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True) as writer:
        told = [int(writer.stdout.readline()) for _ in range(6)]
        writer.send_signal(signal.SIGKILL)
        told += map(int, writer.stdout.read().split())
    with Store.open(tmp_path / "s") as store:
        found = store.get_segments("t", "b", [(place, 9000) for place in (0, 100_000, 5_000_000)])
        assert len(set(found)) == 1 and found[0] == found[0][:1] * 9000 and found[0][0] >= told[-1]
