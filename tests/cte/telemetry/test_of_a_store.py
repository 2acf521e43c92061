"""Telemetry of a real store: each call is one entry with its own number, by its names; reads are counted; off is off."""

import os
import time

import numpy as np
import pytest
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.telemetry import Op, identity
from wrp.errors import UsageError
from wrp.runtime.config import load

DATA = b"x" * 3000


@pytest.mark.parametrize("memory", [True, False])
def test_every_call_is_noted_once_and_in_order(open_store, memory):
    store = open_store(memory=memory)
    calls = [
        (lambda: store.put("t", "first", DATA), Op.PUT_BLOB, "first", 0, 3000), (lambda: store.put("t", "first", DATA), Op.PUT_BLOB, "first", 0, 3000),
        (lambda: store.create("t"), Op.CREATE_TAG, None, 0, 0), (lambda: store.put("t", "a", DATA), Op.PUT_BLOB, "a", 0, 3000),
        (lambda: store.put("t", "a", b"yy", offset=10), Op.PUT_BLOB, "a", 10, 2), (lambda: store.get("t", "a"), Op.GET_BLOB, "a", 0, 3000),
        (lambda: store.get("t", "a", offset=5, size=7), Op.GET_BLOB, "a", 5, 7),
        (lambda: store.get("t", "a", offset=5, out=bytearray(9)), Op.GET_BLOB, "a", 5, 9),
        (lambda: store.view("t", "a"), Op.GET_BLOB, "a", 0, 3000), (lambda: store.size("t", "a"), Op.GET_BLOB_SIZE, "a", 0, 0),
        (lambda: store.info("t", "a"), Op.GET_BLOB_INFO, "a", 0, 0), (lambda: store.tag_size("t"), Op.GET_TAG_SIZE, None, 0, 0),
        (lambda: store.infos("t"), Op.GET_CONTAINED_BLOBS, None, 0, 0), (lambda: store.put("t", "long", DATA * 2000), Op.PUT_BLOB, "long", 0, 6_000_000),
        (lambda: store.delete("t", "a"), Op.DELETE_BLOB, "a", 0, 0), (lambda: store.destroy("t"), Op.DELETE_TAG, None, 0, 0),
    ]
    after = store.telemetry().last
    for number, (call, op, blob, offset, size) in enumerate(calls):
        begin = time.time_ns()
        call()
        last, (entry,), lost = store.telemetry(after + 1)
        assert (entry.op, entry.offset, entry.size, entry.tag) == (op, offset, size, identity("t")), (number, entry)
        assert entry.blob == (identity("t", blob) if blob else 0) and lost == 0 and entry.logical_time == last == after + 1
        assert (entry.read_time >= begin) == (op == Op.GET_BLOB)
        after = last


def test_calls_that_fail_are_not_noted(open_store):
    store = open_store(memory=True)
    after = store.telemetry().last
    for call in (lambda: store.get("t", "no"), lambda: store.delete("t", "no"), lambda: store.destroy("t"), lambda: store.put("t", "", b"1")):
        with pytest.raises(Exception):
            call()
    assert store.telemetry(after + 1).entries == []


def test_reads_are_counted_from_ram_and_from_files(open_store):
    store = open_store(ram="4m")
    store.put("t", "a", DATA)
    store.get("t", "a")
    store.move("t", "a", "file")
    store.get("t", "a"), store.get("t", "a")
    tags, targets, *_ = store.statistics()
    assert (tags["t"].reads, tags["t"].blobs, tags["t"].by_target) == (3, 1, {1: 3000})
    assert targets[0].counts[:2] == (1, 3000) and targets[0].counts.written_nbytes == 3000
    assert targets[1].counts == (2, 6000, 1, 3000) and targets[1].nbytes == 3000
    before = targets[0].counts.written_nbytes, targets[0].counts.writes
    for nbytes in (100, 3000, 20_000, 6_000_000):
        store.put("t2", "new", bytes(nbytes)), store.put("t2", "new", bytes(nbytes))
    counts = store.statistics()[1]
    written = sum(each.counts.written_nbytes for each in counts.values())
    assert written == before[0] + 3000 + 2 * (100 + 3000 + 20_000 + 6_000_000) and counts[0].counts.writes > before[1] + 5
    store.destroy("t2")
    assert [change.blob for change in store.changed()] == ["a"] and store.changed(since=time.time_ns() + 10**9) == []
    assert store.changed(pattern="other.*") == []


def test_it_ends_with_the_job(open_store):
    store = open_store()
    for _ in range(3):
        store.put("t", "a", DATA)
    assert len(store.telemetry().entries) == 3 and store.statistics().targets[0].counts.writes == 3
    store.close()
    store = open_store()
    assert store.telemetry() == (-1, [], 0) and store.get("t", "a") == DATA
    assert [(entry.op, entry.logical_time) for entry in store.telemetry().entries] == [(Op.GET_BLOB, 0)] and store.statistics().targets[1].counts.writes == 0


def test_what_the_index_takes(open_store):
    store = open_store(memory=True)
    before = store.statistics().index
    assert before.names == 0 and before.most >= 1 << 16 and before.nbytes > 8 * before.most
    store.put_many("t", [f"b{number}" for number in range(1000)], np.zeros((1000, 8), np.uint8))
    full = store.statistics().index
    assert full.names == 1001 and full.most == before.most and 100 <= (full.nbytes - before.nbytes) / 1000 <= 200
    store.destroy("t")
    assert store.statistics().index == (0, before.most, full.nbytes)        # the next blobs take the same memory


def test_off_by_its_key(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("storage: [{path: 'ram::t', bdev_type: ram, capacity_limit: 8m}]\nperformance: {telemetry_entries: 0}\n")
    with Store.open(None, config=load(path)) as store:
        store.put("t", "a", DATA), store.get("t", "a")
        with pytest.raises(UsageError, match="performance.telemetry_entries"):
            store.telemetry()
        tags, targets, *_ = store.statistics()
        assert tags["t"].reads == 1 and targets[0].counts.reads == 0         # the catalog counts reads for itself


def test_the_size_of_the_ring_is_its_key(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("storage: [{path: 'ram::t', bdev_type: ram, capacity_limit: 8m}]\nperformance: {telemetry_entries: 100}\n")
    with Store.open(None, config=load(path)) as store:
        for _ in range(300):
            store.put("t", "a", DATA)
        poll = store.telemetry()
        assert len(poll.entries) == 128 and poll.lost == poll.entries[0].logical_time


@pytest.mark.mpi
def test_all_ranks_write_into_the_rings_of_the_nodes():
    """Each node's ring has what was put of its blobs, by whichever rank."""
    ranks = world()
    with Store.open(None, ranks) as store:
        for number in range(20):
            store.put("t", f"{ranks.rank}-{number}", DATA)
        ranks.barrier("all have put")
        mine = [entry for entry in store.telemetry().entries if entry.op == Op.PUT_BLOB]
        puts = [entry for part in ranks.gather(mine if ranks.local_rank == 0 else [], "the nodes' rings") for entry in part]
        assert len(puts) == 20 * ranks.size and len({entry.blob for entry in puts}) == len(puts)
        for rank in range(ranks.size):
            own = [identity("t", f"{rank}-{number}") for number in range(20)]
            assert sorted(entry.blob for entry in puts if entry.blob in set(own)) == sorted(own)
            assert [entry.blob for entry in mine if entry.blob in set(own)] == [blob for blob in own if blob in {entry.blob for entry in mine}]
        ranks.barrier(f"process {os.getpid()} has looked")
