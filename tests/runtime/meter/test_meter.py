"""Counters, latencies and traces of workers."""

import json

import numpy as np

from runtime.waiting import modules
from wrp.runtime import admin
from wrp.runtime.meter import block, histogram
from wrp.runtime.meter.histogram import Histogram, histogram_add
from wrp.runtime.meter.reading import Meter


def test_percentiles_are_those_of_the_tasks_not_of_an_average():
    buckets = [0] * histogram.BUCKETS
    buckets[10], buckets[20] = 98, 2                    # 98 took up to 1 us, two about 1 ms
    found = Histogram(tuple(buckets), 0, 1_000_000)
    assert found.count == 100
    assert (found.percentile(0.5), found.percentile(0.98)) == (1023, 1023)
    assert found.percentile(0.99) == found.percentile(1) == 1_000_000      # never more than the longest
    assert (found + found).count == 200
    assert Histogram((0,) * histogram.BUCKETS, 0, 0).percentile(0.5) == 0


def test_histograms_tell_methods_apart_until_there_is_no_room():
    table = np.zeros(histogram.METHODS * histogram.NBYTES // 8, np.int64)
    for method in range(-1, 80):
        for ns in (0, 1, 500, 1 << 60):
            histogram_add(table.ctypes.data, 3, method, ns)
    found = histogram.read(table.ctypes.data)
    assert len(found) == histogram.METHODS
    assert all(found[3, method].count == 4 for method in range(-1, 62))
    assert found[-1, -1].count == 4 * 18
    one = found[3, 5]
    assert (one.buckets[0], one.buckets[1], one.buckets[9], one.buckets[-1]) == (1, 1, 1, 1)
    assert one.most_ns == 1 << 60


def test_workers_count_what_they_do(runtime):
    meter = Meter(runtime.node)
    pool, waits = runtime.pool("admin", "admin"), runtime.pool("waits", "waits")
    before = meter.workers()[0].tasks
    for _ in range(20):
        pool.call(admin.MONITOR, 0)
    future = waits.submit(17)
    waits.call(20)
    future.cancel()
    future.wait()
    waits.submit(17, deadline_s=-1).wait()
    jitted, python = meter.workers()
    assert jitted.tasks - before == 20
    assert (python.tasks, python.cancelled, python.over_deadline, python.unfinished) == (3, 1, 1, 0)
    found = meter.latencies()
    assert found["1.0", admin.MONITOR].count == 20
    assert found["1.0", admin.MONITOR].percentile(0.999) <= found["1.0", admin.MONITOR].most_ns
    assert found["%d.%d" % waits.id, 17].count == 2
    assert meter.latencies(lane=0).keys() == {("1.0", admin.MONITOR)}


def test_a_trace_has_every_step(runtime, tmp_path):
    meter, steps, waits = Meter(runtime.node), runtime.pool("steps", "steps"), runtime.pool("waits", "waits")
    steps.call(0, 0, 1)
    meter.start_trace()
    steps.call(0, 0, 1)                                 # two steps
    waits.call(10, 0, 1)
    waits.call(18)
    meter.stop_trace()
    steps.call(0, 0, 1)
    waits.call(18)
    meter.write_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    mine = [event for event in slices if event["tid"] == 0]
    assert [event["args"]["done"] for event in mine] == [False, True]
    assert mine[0]["name"] == "%d.%d method 0" % steps.id
    assert mine[0]["ts"] + mine[0]["dur"] < mine[1]["ts"] + 0.001       # us; one ends where the next begins
    theirs = [event for event in slices if event["tid"] == 1]
    assert [event["args"]["done"] for event in theirs] == [False, True, True]      # a coroutine that slept, a plain method
    assert len([event for event in events if event["ph"] == "M"]) == 2


def test_a_trace_keeps_the_newest(runtime):
    meter, pool = Meter(runtime.node), runtime.pool("admin", "admin")
    meter.start_trace()
    total = block.CAPACITY + 100
    for future in pool.submit_many(admin.MONITOR, [(0,)] * total):
        future.wait()
    meter.stop_trace()
    begins = [event["ts"] for event in meter.trace()["traceEvents"] if event["ph"] == "X"]
    assert len(begins) == block.CAPACITY
    assert begins == sorted(begins)


assert modules
