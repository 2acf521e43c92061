"""Queries to the module `monitor`: what a node says of itself, in one process and by attached ones."""

import os
import time

import msgpack
import pytest

from wrp.errors import UsageError, WrpError
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
from wrp.runtime.monitor import Monitoring
from wrp.runtime.monitor.machine import Machine


def asked(runtime, query, pool_query="local"):
    return {container: msgpack.unpackb(answer) for container, answer in runtime.monitor(query, pool_query).items()}


def test_workers_and_their_tasks(runtime):
    pool = runtime.pool("ram::a", "bdev", capacity=1 << 20)
    (before,) = asked(runtime, "worker_stats").values()
    for _ in range(100):
        pool.call(bdev.GET_STATS)
    (after,) = asked(runtime, "worker_stats").values()
    assert [worker["kind"] for worker in after] == ["jitted", "python"] and {worker["pid"] for worker in after} == {os.getpid()}
    assert after[0]["num_tasks_processed"] - before[0]["num_tasks_processed"] == 100
    assert all(worker["is_running"] for worker in after) and after[0]["num_queued_tasks"] == 0


def test_devices_methods_and_host(runtime):
    pool = runtime.pool("ram::a", "bdev", capacity=4 << 20, pool_id="305.2")
    assert pool.call(bdev.ALLOCATE_BLOCKS, 1 << 20).code == 0
    (devices,) = asked(runtime, "bdev_stats").values()
    assert devices["305.2"]["capacity"] == 4 << 20 and devices["305.2"]["free"] == 3 << 20 and devices["305.2"]["kind"] == "ram"
    assert asked(runtime, "pool_stats://305.2:stats:local") == {0: devices["305.2"]}
    ((method,),) = asked(runtime, "pool_stats://305.2:container_stats").values()
    assert (method["pool"], method["method"], method["count"]) == ("305.2", bdev.ALLOCATE_BLOCKS, 1) and method["max_ns"] > 0
    assert method in asked(runtime, "container_stats", "broadcast")[0]
    assert asked(runtime, "get_host_info")[0]["hostname"] == os.uname().nodename


@pytest.mark.parametrize("kind", ["ram", "file", "noop"])
def test_what_a_device_is_told_besides(runtime, tmp_path, kind):
    device = runtime.device("told", kind, 4 << 20, str(tmp_path / "told"))
    pool = runtime.pool("told", "bdev")

    def days():
        return next(iter(asked(runtime, "bdev_stats")[0].values()))["lifespan_days"]
    assert days() == -1 and pool.call(bdev.SET_LIFESPAN, 700).code == 0 and days() == 700
    assert pool.call(bdev.SET_LIFESPAN, -5).code == bdev.OUT_OF_BOUNDS and days() == 700
    assert pool.call(bdev.FLUSH_ALLOC_LOG).code == 0 and pool.call(bdev.UPDATE, 4096).code == bdev.REFUSED
    assert pool.call(19).code == bdev.UNKNOWN_METHOD and device.remaining == device.capacity


def test_samples_of_the_machine_are_numbered(runtime):
    until = time.monotonic() + 20
    while len(asked(runtime, "system_stats")[0]) < 2:
        assert time.monotonic() < until, "there is no second sample"
        time.sleep(0.05)
    samples = asked(runtime, "system_stats")[0]
    assert [sample["event_id"] for sample in samples] == list(range(len(samples)))
    assert asked(runtime, "system_stats:1")[0][0] == samples[1]
    assert 0 < samples[1]["ram_available_bytes"] <= samples[1]["ram_total_bytes"] and 0 <= samples[1]["cpu_usage_percent"] <= 100


def test_a_machine_keeps_the_newest_samples():
    machine = Machine(3)
    for _ in range(1030):
        machine.sample()
    kept = machine.since(0)
    assert [sample["event_id"] for sample in kept] == list(range(6, 1030)) and kept[0]["node_id"] == 3 and not kept[0]["is_leader"]


@pytest.mark.parametrize("query, sentence", [
    ("worker_stat", "did you mean 'worker_stats'"), ("", "give one of worker_stats"), ("worker_stats:1", "there is no query"),
    ("system_stats:-1", "there is no query"), ("pool_stats://1.0", "there is no query"), ("pool_stats://1.0:stat", "did you mean 'stats'"),
    ("pool_stats://0.0:stats", "there is no query"), ("pool_stats://77.0:stats", "there is no pool 77.0")])
def test_wrong_queries(runtime, query, sentence):
    with pytest.raises(UsageError, match=sentence):
        runtime.monitor(query)


def test_an_answer_is_large(runtime):
    """More parts than a process has records to ask for at once."""
    runtime.monitor("get_host_info")
    container = runtime._containers[runtime.pool("monitor", "monitor").number]
    container._answer = lambda *_: os.urandom(40_000)
    assert len(asked(runtime, "get_host_info")[0]) == 40_000
    assert not container._kept
    container._answer = lambda *_: 1 / 0
    with pytest.raises(WrpError, match="containers 0 can't say how they are .code 99"):
        runtime.monitor("get_host_info")
    waiting = Monitoring(runtime.pool("monitor", "monitor")).start("get_host_info")
    assert waiting.gather() == {} and waiting.code == 99


def test_attached_processes_ask(start_daemon):
    running = start_daemon("monitored")
    with attach(running.name, 10) as attached:
        attached.pool("ram::composed")
        (devices,) = asked(attached, "bdev_stats").values()
        assert [(each["pool_name"], each["capacity"]) for each in devices.values()] == [("ram::composed", 32 << 20)]
        (workers,) = asked(attached, "worker_stats", "broadcast").values()
        assert {worker["pid"] for worker in workers} == {running.pid}
    assert running.end() == 0
