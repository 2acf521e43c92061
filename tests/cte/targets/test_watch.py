"""Files of targets that don't answer, are gone or become slow while a store is open: new bytes go elsewhere, and come back when they can."""

import gc
import json
import os
import sys
import threading
import time
import weakref

import pytest

from wrp.cte import Store, ending
from wrp.cte.targets import speed, watch
from wrp.errors import StoreError, WaitTimeout
from wrp.runtime.config import load

MIB = 1 << 20


@pytest.fixture
def opened(tmp_path):
    """A function that opens a store with ram, a file that lasts and a scratch file, and what else the configuration is to say."""
    stores = []

    def make(more):
        conf = tmp_path / "conf.yaml"
        conf.write_text("storage:\n  - {path: 'ram::r', capacity_limit: 1m}\n  - {path: data, bdev_type: file, capacity_limit: 32m}\n"
                        f"  - {{path: {tmp_path}/scratch, bdev_type: file, persistence_level: temporary, capacity_limit: 32m}}\n" + more)
        stores.append(Store.open(tmp_path / "store", config=load(conf)))
        return stores[-1]
    yield make
    for store in stores:
        store.close()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def _is_in(thread, function):
    """True while the thread is at a step of the function, where it waits for a lock that this one has."""
    frame = sys._current_frames().get(thread.ident)
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


def trouble(store):
    return {target.name: target.trouble for target in store.targets() if target.trouble}


def places(store, blob):
    return {store.target_name(extent[0]) for extent in store.extents("t", blob)}


def test_a_file_that_is_removed_takes_nothing_until_it_is_there_again(opened, tmp_path):
    store, path = opened("targets: {poll_period_ms: 10}\n"), tmp_path / "store" / "data" / "0"
    store.put("t", "before", b"b" * MIB, min_persistence="long_term")
    assert store.get("t", "before") == b"b" * MIB           # who reads it has it open
    os.rename(path, tmp_path / "aside")
    until(lambda: "data" in trouble(store))
    assert "was removed or replaced" in trouble(store)["data"]
    store.put("t", "large", b"x" * 2 * MIB)
    assert places(store, "large") == {f"{tmp_path}/scratch"} and store.get("t", "before") == b"b" * MIB
    with pytest.raises(StoreError, match="target 'data/0' is lost for now: its file .* was removed"):
        store.flush()
    os.rename(tmp_path / "aside", path)
    until(lambda: not trouble(store))
    store.flush()
    store.close()
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get("t", "large") == b"x" * 2 * MIB and store.get("t", "before") == b"b" * MIB


def test_a_file_that_does_not_answer_counts_as_lost_after_its_time(opened, tmp_path, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(watch, "trouble_of", lambda descriptor, path: "" if path is not None or answers.wait(20) else "never")
    store = opened("targets: {poll_period_ms: 10, default_target_timeout_ms: 50}\n")
    try:
        until(lambda: trouble(store) == {f"{tmp_path}/scratch": "it hasn't answered for 0.05 s (targets.default_target_timeout_ms)"})
        store.put("t", "b", b"x" * 2 * MIB)
        assert places(store, "b") == {"data/0"}
    finally:
        answers.set()
    until(lambda: not trouble(store))
    store.close()
    assert not [thread for thread in threading.enumerate() if thread.name in ("wrp-watch", "wrp-look")]


def test_a_flush_does_not_wait_for_a_file_that_is_lost(opened, tmp_path, monkeypatch):
    store = opened("targets: {poll_period_ms: 100000}\n")
    tiers = store._tiers
    first = next(target.number for target in store.targets() if target.name == "data")
    store.put("t", "before", b"b" * MIB, min_persistence="long_term")
    store.add_target(f"{tmp_path}/other", "file", 8 * MIB, persistence="long_term")
    with monkeypatch.context() as patched:
        patched.setattr(tiers.device(first), "sync", lambda: pytest.fail("it would never end"))
        tiers.lose(first, "it hasn't answered")
        for _ in range(2):
            with pytest.raises(StoreError, match="target 'data/0' is lost for now: it hasn't answered; what this call promised is not kept"):
                store.flush()
        with store.batch("elsewhere") as batch:
            batch.put("t", "batched", b"x" * MIB)
        assert all("/other-" in place for place in places(store, "batched"))
    tiers.regain(first)
    assert store._parts.failed_syncs == 0
    before = store.extents("t", "before")
    store.flush()
    assert store.extents("t", "before") == before


def test_an_error_does_not_end_the_watch(opened, tmp_path, monkeypatch, caplog):
    store = opened("targets: {poll_period_ms: 10}\n")
    with monkeypatch.context() as patched:
        patched.setattr(store._tiers, "files", lambda: {}[7])
        until(lambda: "can't be watched this time" in caplog.text)
    os.rename(tmp_path / "store" / "data" / "0", tmp_path / "aside")
    until(lambda: "data" in trouble(store))
    os.rename(tmp_path / "aside", tmp_path / "store" / "data" / "0")


def test_a_store_that_nobody_closes_is_not_kept_by_its_watch(tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text("storage: [{path: 'ram::r', capacity_limit: 1m}, {path: data, bdev_type: file, capacity_limit: 32m}]\ntargets: {poll_period_ms: 10}\n")
    store = Store.open(tmp_path / "store", config=load(conf))
    folder, runtime = store._parts.folder, weakref.ref(store._parts.runtime)
    ending.forget(store)            # which keeps it to flush it when Python ends
    del store
    try:
        until(lambda: (gc.collect(), runtime())[1] is None)
        until(lambda: not [thread for thread in threading.enumerate() if thread.name in ("wrp-watch", "wrp-look")])
    finally:
        folder.close()


def test_a_target_that_became_slow_is_found_out(opened, tmp_path, monkeypatch):
    """`max_bw` takes the file that was slower when both were new, and no figure that was declared changes."""
    store = opened("performance: {target_stat_interval_ms: 10}\n")
    scratch = next(target.number for target in store.targets() if target.name.endswith("scratch"))
    device, before = store._tiers.device(scratch), {target.name: target.write_mbps for target in store.targets()}
    written = device.write

    def slow(offset, data):
        time.sleep(0.2)
        written(offset, data)
    monkeypatch.setattr(device, "write", slow)
    store.put("t", "b", b"x" * MIB, min_persistence="temporary")
    store.move("t", "b", f"{tmp_path}/scratch")
    until(lambda: {target.name: target.write_mbps for target in store.targets()}[f"{tmp_path}/scratch"] < before[f"{tmp_path}/scratch"])
    for _ in range(12):
        store.move("t", "b", "data"), store.move("t", "b", f"{tmp_path}/scratch")
        time.sleep(0.02)
    found = {target.name: target.write_mbps for target in store.targets()}
    assert found[f"{tmp_path}/scratch"] < found["data"] and found["ram::r"] == before["ram::r"]
    store.put("t", "new", b"y" * 2 * MIB)
    assert places(store, "new") == {"data/0"}


def test_declared_figures_stay():
    from wrp.cte.targets import Wanted, with_speed

    wanted = with_speed(Wanted("f", "file", MIB, "/tmp/f", write_mbps=70.0, read_mbps=80.0, latency_us=5.0), None)
    assert wanted.adjusted(1.0, 1.0) == wanted
    half = with_speed(Wanted("f", "file", MIB, "/tmp/f", write_mbps=70.0), None)
    assert half.adjusted(1.0, 1.0).write_mbps == 70.0 and half.adjusted(1.0, 1.0).read_mbps == (half.read_mbps + 1) / 2
    assert half.adjusted(1.0, 1e9).read_mbps <= 5000 and half.adjusted(1.0, 0.0) == half


def test_memory_is_measured_once_for_a_user(tmp_path, monkeypatch):
    from wrp.cte.targets import Wanted, with_speed

    monkeypatch.setenv("WRP_CACHE_DIR", str(tmp_path))
    wanted = with_speed(Wanted("r", "ram", MIB), None)
    (key, figures), = json.loads((tmp_path / "speeds.json").read_text()).items()
    assert key.endswith(" memory") and figures == [wanted.write_mbps, wanted.read_mbps, wanted.latency_us] and wanted.write_mbps > 5000 and wanted.latency_us < 1
    monkeypatch.setattr(speed, "measure_memory", lambda: pytest.fail("it is known"))
    assert with_speed(Wanted("r", "ram", MIB), None) == wanted


def test_a_close_waits_for_the_watching_thread_no_longer_than_it_may(tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text("storage:\n  - {path: data, bdev_type: file, capacity_limit: 32m}\n"
                    "targets: {poll_period_ms: 60000}\nperformance: {target_stat_interval_ms: 1}\nruntime: {timeout_s: 0.3}\n")
    store = Store.open(tmp_path / "store", config=load(conf))
    parts, thread = store._parts, next(thread for thread in threading.enumerate() if thread.name == "wrp-watch")
    with store._tiers._changing:
        until(lambda: _is_in(thread, type(store._tiers).adjust))
        with pytest.raises(WaitTimeout, match="can't be closed: the thread wrp-watch of process .* hasn't ended within 0.3 s .*its folder stays this process's"):
            store.close()
    thread.join(20)
    assert parts.is_stuck and not thread.is_alive()
    parts.is_stuck = False
    parts.drop()
    del parts, store
    gc.collect()                    # what has the files open
