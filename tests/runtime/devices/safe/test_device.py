"""A safe device in a runtime: its pool, its members, a configuration, other processes."""

import contextlib
import os
import random
import threading
import time

import numpy as np
import pytest
from runtime.devices.safe.sets import break_disk, mend_disk

from wrp.comm import reserve
from wrp.comm.ranks.solo import Solo
from wrp.errors import OutOfSpace, StoreError, UsageError, WaitTimeout
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
from wrp.runtime.devices.safe import label
from wrp.runtime.devices.safe.array import Array
from wrp.runtime.devices.safe.layout import address
from wrp.runtime.devices.safe.member import FileMember
from wrp.runtime.devices.safe.recovery import Mended
from wrp.runtime.runtime import Runtime

MIB = 1 << 20


@pytest.fixture
def members(tmp_path):
    return [str(tmp_path / f"m{number}") for number in range(4)]


@pytest.fixture
def device(runtime, members):
    return runtime.device("safe", "safe", 16 * MIB, address(members, 1))


def filled(device, nbytes, seed=1):
    """(offset, bytes) of what is leased and written."""
    offset, data = device.lease(nbytes), random.Random(seed).randbytes(nbytes)
    device.write(offset, data)
    return offset, data


def shown(device, offset, nbytes):
    out = bytearray(nbytes)
    device.read(offset, out)
    return bytes(out)


def test_a_member_that_fails_is_recovered_while_others_go_on(device, members):
    offset, data = filled(device, 3 * MIB)
    break_disk(members[1])
    assert shown(device, offset, 3 * MIB) == data and device.stats["failed"] == [members[1]] and device.stats["recovered"] > 0
    more, other = filled(device, MIB, 2)
    with pytest.raises(StoreError, match="m1.fail says that it fails"):
        device.recover(1)
    mend_disk(members[1])
    assert device.recover(members[1]) > 0 and device.stats["failed"] == []
    assert device.build_parity()[1:] == (0, 0, 0) and device.build_parity().rows > 0
    break_disk(members[3])
    assert shown(device, offset, 3 * MIB) + shown(device, more, MIB) == data + other
    with pytest.raises(StoreError, match="no member 'x': it has"):
        device.recover("x")
    with pytest.raises(StoreError, match="m0 needn't be recovered"):
        device.recover(0)


def test_it_is_found_again_without_a_member_by_its_address(configured, members):
    config = configured("runtime: {segment_capacity: 64m}")
    with Runtime(Solo(), config) as runtime:
        offset, data = filled(runtime.device("safe", "safe", 16 * MIB, address(members, 1)), 3 * MIB)
    os.unlink(members[0])
    with Runtime(Solo(), config) as runtime:
        device = runtime.device("safe", "safe", 16 * MIB, address(members, 1))
        assert shown(device, offset, 3 * MIB) == data
        assert device.recover(0) > 0
    assert device.capacity == 16 * MIB and "of 16 MiB" in repr(device)
    for gone in (lambda: device.stats, lambda: device.recover(0), lambda: device.free):
        with pytest.raises(UsageError, match="closed"):
            gone()
    os.unlink(members[2])
    with Runtime(Solo(), config) as runtime:
        assert shown(runtime.device("safe", "safe", 16 * MIB, address(members, 1)), offset, 3 * MIB) == data
    os.unlink(members[0])
    with Runtime(Solo(), config) as runtime, pytest.raises(StoreError, match="2 of its members are missing or stale"):
        runtime.device("safe", "safe", 16 * MIB, address(members, 1))


def test_as_tasks(runtime, device, members):
    staging, pool = runtime.device("staging", "ram", 4 * MIB), runtime.pool("safe", "bdev")
    buffer, back = staging.lease(100_000), staging.lease(100_000)
    staging.write(buffer, os.urandom(100_000))
    block = pool.call(bdev.ALLOCATE_BLOCKS, 100_000, 100_000).values[0]
    assert pool.call(bdev.WRITE, block, staging._base + buffer, 100_000) == (0, (100_000, 0, 0, 0))
    break_disk(members[0])
    assert pool.call(bdev.READ, block, staging._base + back, 100_000).code == 0 == pool.call(bdev.SYNC).code
    assert staging.view(back, 100_000) == staging.view(buffer, 100_000)
    under_way, recovered, lost, out = pool.call(bdev.GET_STATS, 1).values
    assert (under_way, lost, out) == (0, 0, 1) and recovered > 0
    mend_disk(members[0])
    assert pool.call(bdev.GET_STATS, 2).values == (0, 0, 0, 0)
    assert pool.call(bdev.RECOVER_BDEV, 0, 0, 0).code == 0 and pool.call(bdev.GET_STATS, 1).values[3] == 0
    rows, done, now, level = pool.call(bdev.GET_STATS, 2).values
    assert rows == done > 0 == now and level == 1
    assert pool.call(bdev.RECOVER_BDEV, 0, 0, 0).code == bdev.REFUSED == pool.call(bdev.REMOVE_BDEV, 0, 0, 0).code
    assert Mended(*pool.call(bdev.BUILD_PARITY).values).rows > 0
    assert pool.call(bdev.ADD_BDEV, runtime.segment.nbytes, 10).code == bdev.OUT_OF_BOUNDS
    for name in members[:2]:
        break_disk(name)
    assert pool.call(bdev.WRITE, block, staging._base + buffer, 100_000).code == bdev.IO_FAILED
    assert runtime.pool("staging", "bdev").call(bdev.BUILD_PARITY).code == bdev.UNKNOWN_METHOD


def test_another_member_makes_room(device, tmp_path):
    offset, data = filled(device, 2 * MIB)
    before, free = device.capacity, device.free
    device.add(str(tmp_path / "m4"))
    assert device.capacity > before and device.free - free == device.capacity - before and len(device.stats["groups"]) == 2
    held = []
    with pytest.raises(OutOfSpace, match="safe device 'safe' of .* has no room"):
        while True:
            held.append(filled(device, MIB, len(held)))
    break_disk(str(tmp_path / "m4"))
    assert shown(device, offset, 2 * MIB) == data
    assert all(shown(device, place, MIB) == random.Random(seed).randbytes(MIB) for seed, (place, _) in enumerate(held))
    with pytest.raises(StoreError, match="rows lie on it"):
        device.remove(4)
    with pytest.raises(StoreError, match="is a member already"):
        device.add(str(tmp_path / "m4"))


def test_memory_and_files_together(runtime, members, configured):
    device = runtime.device("mixed", "safe", 4 * MIB, address([*members[:3], "ram::parity"], 1))
    offset, data = filled(device, 2 * MIB)
    break_disk(members[2])
    assert shown(device, offset, 2 * MIB) == data


def test_memory_is_gone_with_the_job(members, configured):
    config, places = configured("runtime: {segment_capacity: 64m}"), address([*members[:3], "ram::parity"], 1)
    with Runtime(Solo(), config) as runtime:
        offset, data = filled(runtime.device("mixed", "safe", 4 * MIB, places), 2 * MIB)
    with Runtime(Solo(), config) as runtime:
        device = runtime.device("mixed", "safe", 4 * MIB, places)
        assert shown(device, offset, 2 * MIB) == data and device.stats["failed"] == ["ram::parity"]
        assert device.recover("ram::parity") > 0


def test_a_look_at_memory_touches_no_page_that_was_not_reserved(members, configured):
    with Runtime(Solo(), configured("runtime: {segment_capacity: 128m}")) as runtime:
        device = runtime.device("mixed", "safe", 40 * MIB, address([members[0], "ram::copy"], 1))       # more than one page of entries
        at, nbytes = runtime.node.segment.find("bdev.mixed.ram::copy")
        missing = reserve._missing(runtime.node.segment.address + at, nbytes)
        assert device.build_parity()[1:] == (0, 0, 0)
        assert reserve._missing(runtime.node.segment.address + at, nbytes) == missing > 0


def test_a_configuration_makes_one(configured, members):
    listed = ", ".join([*members[:3], f"{{pool_name: {members[3]}, node_id: 0}}"])
    config = configured(f"runtime: {{segment_capacity: 64m}}\ncompose:\n  - {{mod_name: bdev, pool_name: kept, bdev_type: safe, capacity: 8m, max_failures: 2, members: [{listed}]}}\n")
    with Runtime(Solo(), config) as runtime:
        device = runtime.devices["kept"]
        assert device.kind == "safe" and device.capacity == 8 * MIB and device.stats["members"] == members
        offset, data = filled(device, MIB)
        for name in members[:2]:
            break_disk(name)
        assert shown(device, offset, MIB) == data


@pytest.mark.parametrize("more, sentence", [({"bdev_type": "safe"}, "give it a list of paths"), ({"bdev_type": "safe", "members": ["a"]}, "can't outlive"),
                                            ({"bdev_type": "safe", "members": [3, 4]}, "give it a list of paths"), ({"bdev_type": "noop", "members": ["a", "b"]}, "has no members")])
def test_what_no_safe_pool_can_be(runtime, more, sentence):
    with pytest.raises(UsageError, match=sentence):
        runtime.pool("wrong", "bdev", **more)


def test_attached_processes_use_it_too(start_daemon, members):
    name = f"safe-{os.getpid()}"
    running = start_daemon(name)
    try:
        with attach(name) as attached:
            attached.pool("kept", "bdev", bdev_type="safe", capacity=8 * MIB, members=members)
            device = attached.device("kept")
            offset, data = filled(device, MIB)
            break_disk(members[0])
            assert shown(device, offset, MIB) == data and device.stats["failed"] == [members[0]]
            mend_disk(members[0])
            assert device.recover(0) > 0
    finally:
        assert running.end() == 0


def test_memory_of_a_removed_member_is_given_back(members, configured):
    with Runtime(Solo(), configured("runtime: {segment_capacity: 128m}")) as runtime:
        device = runtime.device("mixed", "safe", 8 * MIB, address(members[:3], 1))
        device.add("ram::more")
        at, nbytes = runtime.node.segment.find("bdev.mixed.ram::more")
        missing = reserve._missing(runtime.node.segment.address + at, nbytes)
        device.remove("ram::more")
        assert missing < nbytes - reserve.PAGE and reserve._missing(runtime.node.segment.address + at, nbytes) > nbytes - 2 * reserve.PAGE
        device.add("ram::more")
        offset, data = filled(device, 8 * MIB)
        break_disk(members[0])
        assert shown(device, offset, 8 * MIB) == data and device.stats["members"][3:] == ["ram::more"]


def test_a_close_that_is_refused_to_a_handler_is_done_by_the_next(device, members):
    offset, data = filled(device, MIB)
    with device._lock, pytest.raises(UsageError, match="In a handler of a signal, set a flag"):
        device.close()
    assert shown(device, offset, MIB) == data
    device.close()
    for path in members:
        with contextlib.closing(FileMember(path)) as member:
            assert label.read(member).boot == ""        # of a device that was closed


@pytest.fixture
def slow(device, members, monkeypatch):
    """The device, of 16 MiB that hold something, whose member 1 is lost; each of its rows takes 0.05 s to be rebuilt."""
    offset, data = filled(device, 16 * MIB)
    break_disk(members[1])
    assert shown(device, offset, MIB) == data[:MIB] and device.stats["parity_level"] == 0
    mend_disk(members[1])
    put = Array.put

    def slowly(array, position, row, *rest):
        time.sleep(0.05 * (position == 1))
        put(array, position, row, *rest)
    monkeypatch.setattr(Array, "put", slowly)
    device.data = data
    return device


def test_a_recovery_is_waited_for_as_long_as_it_comes_on_and_is_seen(runtime, slow):
    found, ticks = [], []
    asker = threading.Thread(target=lambda: found.append(slow.recover(1, timeout_s=2.0, tick=lambda: ticks.append(1))))
    asker.start()                                           # 86 rows: longer than its deadline
    while not slow.stats["recovery_ops_completed"]:
        time.sleep(0.02)
    stats = slow.stats
    assert stats["recovering"] == stats["failed"] == [stats["members"][1]] and stats["recovery_active"] == 1
    assert stats["recovery_ops_total"] == stats["recovery_ops_completed"] + stats["recovery_ops_remaining"] >= 86 and stats["recovery_ops_in_flight"] in (0, 16)
    begin = time.monotonic()
    with pytest.raises(StoreError, match="m1 is being recovered already"):
        slow.recover(1)
    assert runtime.pool("safe", "bdev").call(bdev.SYNC).code == 0           # its process serves others, too
    slow.write(0, b"n" * 100)
    assert shown(slow, 0, MIB) == b"n" * 100 + slow.data[100:MIB] and time.monotonic() - begin < 5.0
    asker.join()
    stats = slow.stats
    assert len(ticks) >= 5                                  # zones of 16 rows
    assert found == [86] and stats["failed"] == stats["recovering"] == [] and stats["parity_level"] == 1
    assert (stats["recovery_active"], stats["recovery_ops_remaining"], stats["recovery_ops_in_flight"]) == (0, 0, 0)
    assert slow.build_parity()[1:] == (0, 0, 0)


def test_a_recovery_that_nobody_waits_for_goes_on(slow):
    with pytest.raises(WaitTimeout, match="waited 0.1 s for method 23"):
        slow.recover(1, timeout_s=0.1)                      # a zone takes 0.8 s
    while slow.stats["failed"]:
        time.sleep(0.05)
    assert slow.build_parity()[1:] == (0, 0, 0)


def test_a_runtime_that_is_closed_ends_a_recovery_which_can_be_asked_for_again(members, configured, monkeypatch):
    config = configured("runtime: {segment_capacity: 64m}")
    with Runtime(Solo(), config) as runtime:
        device = runtime.device("safe", "safe", 16 * MIB, address(members, 1))
        offset, data = filled(device, 16 * MIB)
        break_disk(members[1])
        assert shown(device, offset, MIB) == data[:MIB]
        mend_disk(members[1])
        with monkeypatch.context() as patch:
            put = Array.put
            patch.setattr(Array, "put", lambda *args: time.sleep(0.02) or put(*args))
            with pytest.raises(WaitTimeout):
                device.recover(1, timeout_s=0.05)
            runtime.close()
    with Runtime(Solo(), config) as runtime:
        device = runtime.device("safe", "safe", 16 * MIB, address(members, 1))
        assert device.stats["failed"] == [members[1]] and device.recover(1) == 86
        os.unlink(members[0])
        assert shown(device, offset, 16 * MIB) == data


def test_memory_of_a_removed_device_is_given_back(members, configured):
    with Runtime(Solo(), configured("runtime: {segment_capacity: 128m}")) as runtime:
        device = runtime.device("mixed", "safe", 8 * MIB, address([*members[:3], "ram::last"], 1))
        offset, _ = filled(device, 8 * MIB)
        at, nbytes = runtime.node.segment.find("bdev.mixed.ram::last")
        missing = reserve._missing(runtime.node.segment.address + at, nbytes)
        device.give_back(offset, 8 * MIB)
        device.close()
        runtime.remove("mixed")
        assert missing < nbytes // 2 and reserve._missing(runtime.node.segment.address + at, nbytes) > nbytes - 2 * reserve.PAGE


def test_bytes_that_change_while_they_are_written_leave_whole_rows(device):
    """Whoever writes may find out afterwards that they weren't what it meant; what others have in the row, and the next write, must not suffer."""
    data, is_over, offset = np.zeros(MIB, np.uint8), threading.Event(), device.lease(MIB)

    def change():
        while not is_over.is_set():
            np.add(data, 1, out=data)       # without the GIL
    thread = threading.Thread(target=change)
    thread.start()
    for _ in range(30):
        device.write(offset, data)
    is_over.set()
    thread.join()
    assert len(shown(device, offset, MIB)) == MIB
