"""Keys of `performance` that change how a store works, not what it gives: what is seen of them."""

import os
import subprocess
import sys
import time

import pytest

from cte.targets.test_targets import FAST, SLOW, place
from wrp.cte import Store
from wrp.cte.organizer.log import replay
from wrp.runtime.config import load


def configured(tmp_path, text):
    path = tmp_path / "conf.yaml"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize("mode", ["durable", "deferred"])
def test_fsync_mode(tmp_path, monkeypatch, mode):
    """`deferred` syncs nothing in flushes and batches; what was flushed outlives the process all the same."""
    config, synced = configured(tmp_path, f"performance: {{fsync_mode: {mode}}}\n"), []
    store = Store.open(tmp_path / "store", config=config)
    store.create("t")
    store.flush()                           # the name of the journal is synced in any mode
    for name in ("fsync", "fdatasync"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda descriptor, original=original: synced.append(descriptor) or original(descriptor))
    store.put("t", "small", b"s")
    store.flush()
    store.put("t", "large", bytes(300_000))
    store.flush()
    with store.batch("both") as batch:
        batch.put("t", "batched", b"b")
    assert bool(synced) == (mode == "durable")
    monkeypatch.undo()
    store.close()
    script = (f"import os, sys\nfrom wrp.cte import Store\nfrom wrp.runtime.config import load\nstore = Store.open(sys.argv[1], config=load({str(tmp_path / 'conf.yaml')!r}))\n"
              "store.put('t', 'killed', b'k' * 100_000)\nstore.flush()\nos.kill(os.getpid(), 9)")
    assert subprocess.run([sys.executable, "-c", script, tmp_path / "store"], timeout=60).returncode == -9
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.list("t") == ["batched", "killed", "large", "small"] and store.get("t", "killed") == b"k" * 100_000


@pytest.mark.parametrize("period_ms, ends", [(60_000, ["ram::fast"]), (10, ["ram::slow"])])
def test_stat_targets_period_ms(tmp_path, period_ms, ends):
    """For so long `cost` doesn't look again how full the first ram is where small blobs go."""
    config = configured(tmp_path, f"storage:\n  - {FAST}\n  - {SLOW}\ndpe: {{dpe_type: cost}}\nperformance: {{stat_targets_period_ms: {period_ms}}}\n")
    with Store.open(None, config=config) as store:
        store.put("t", "first", bytes(8192))
        for number in range(700):           # the fast ram is filled so far that for the longer ones the slow one costs less
            store.put("t", f"b{number}", bytes(4096))
        time.sleep(0.02)
        store.put("t", "last", bytes(8192))
        assert place(store, "last") == ends


def test_organizer_log(tmp_path, caplog):
    """What an organizer of a store has seen and done is done again by one that sees the same."""
    text = ("storage: [{path: 'ram::r', capacity_limit: 2m}, {path: data, bdev_type: file, capacity_limit: 32m}]\n"
            f"performance: {{organizer: lru, organizer_period_ms: 86400000, organizer_log: {tmp_path}/seen}}\n")
    with Store.open(tmp_path / "store", config=configured(tmp_path, text)) as store:
        for turn in range(3):
            for number in range(10):
                store.put("t", f"b{turn}.{number}", bytes(100_000))
            store.flush()
            store.get("t", "b0.0", 0, 10)
            store.organize()
        store.delete("t", "b1.1")
        moved = store.organize().moved
    file, = tmp_path.glob("seen-0-*.jsonl")
    steps = replay(file.read_text().splitlines())
    assert all(then == now for _, then, now in steps) and sum(len(then) for _, then, _ in steps) >= moved > 0
    assert {type(event).__name__ for event, _, _ in steps} >= {"Put", "Get", "Delete", "Moved", "Tick", "Filled"}
    with Store.open(tmp_path / "store", config=configured(tmp_path, text)) as store:        # no log is written over
        assert len(list(tmp_path.glob("seen-0-*.jsonl"))) == 2
    with Store.open(tmp_path / "store", config=configured(tmp_path, text.replace("/seen", "/none/seen"))) as store:
        assert store.organize().looks and store.exists("t", "b0.0")
    told, = (record.message for record in caplog.records if "log" in record.message)
    assert told == f"the log {tmp_path}/none/seen-0 of an organizer can't be written, and ends: No such file or directory"
