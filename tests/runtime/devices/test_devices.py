"""The contract of devices, over all kinds."""

import errno
import os
import random
import threading

import numpy as np
import pytest
from harness.interrupting import Interrupted
from stress.churn import churn

from wrp.comm.extents import extents_free
from wrp.comm.ranks.solo import Solo
from wrp.errors import OutOfSpace, StoreError, UsageError, WrpError
from wrp.runtime import bdev
from wrp.runtime.asking import NO_ROOM
from wrp.runtime.devices import gpu
from wrp.runtime.meter.reading import Meter
from wrp.runtime.runtime import Runtime

MIB = 1 << 20


def _why_no_gpu():
    try:
        gpu.library()
    except UsageError as error:
        return str(error)
    return ""


GPU = pytest.param("gpu", marks=pytest.mark.skipif(bool(_why_no_gpu()), reason=_why_no_gpu()))


@pytest.fixture(params=["ram", "file", "direct", "noop", GPU])
def device(request, runtime, tmp_path):
    kind, more = ("file", {"direct": True}) if request.param == "direct" else (request.param, {})
    return runtime.device(f"test.{request.param}", kind, 32 * MIB, tmp_path / "data.bin", **more)


@pytest.fixture
def keeping(device):
    """A device that keeps what is written to it."""
    if device.kind == "noop":
        pytest.skip("a device of kind noop keeps no bytes")
    return device


def test_a_close_in_the_middle_of_a_lease_is_refused_and_changes_nothing(keeping):
    """As a handler of a signal calls it."""
    device = keeping
    offset = device.lease(5000)
    with device._lock, pytest.raises(UsageError, match="In a handler of a signal, set a flag"):
        device.close()
    device.write(offset, b"x" * 5000)
    out = bytearray(5000)
    device.read(offset, out)
    assert out == b"x" * 5000
    device.give_back(offset, 5000)
    device.close()
    device.close()
    with pytest.raises(UsageError, match="was closed"):
        device.lease(1)


def test_bytes_come_back(keeping):
    device = keeping
    rng = np.random.default_rng(1)
    written = {}
    for nbytes in (1, 63, 4096, 70_000, 5 * MIB):
        data = rng.bytes(nbytes)
        offset = device.lease(nbytes)
        assert offset % device.align == 0
        device.write(offset, data)
        written[offset] = data
    for offset, data in written.items():
        out = np.empty(len(data), np.uint8)
        device.read(offset, out)
        assert out.tobytes() == data
    device.write(0, b""), device.read(0, bytearray())
    device.sync()


def test_a_lease_is_a_whole_number_of_bytes(device):
    for nbytes in (100000.5, "10", None):
        with pytest.raises(UsageError, match="no whole number"):
            device.lease(nbytes)
    free = device.free
    device.give_back(device.lease(np.int64(5000)), 5000)
    assert device.free == free


def test_leases_of_several_threads_are_disjoint(device):
    found, errors = [], []

    def work(seed):
        rng = random.Random(seed)
        try:
            for _ in range(100):
                nbytes = rng.randint(1, 60_000)
                found.append((device.lease(nbytes), nbytes))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    found.sort()
    assert all(a[0] + a[1] <= b[0] for a, b in zip(found, found[1:]))


def test_churn_ends_where_it_began(device):
    rng = random.Random(3)
    held = []
    for _ in range(1500):
        if held and rng.random() < 0.5:
            device.give_back(*held.pop(rng.randrange(len(held))))
        else:
            nbytes = rng.choice((100, 5000, 300_000, 2 * MIB))
            try:
                held.append((device.lease(nbytes), nbytes))
            except OutOfSpace:
                assert device.free < 32 * MIB
    for offset, nbytes in held:
        device.give_back(offset, nbytes)
    assert device.free == device.capacity
    offset = device.lease(device.capacity - 4 * MIB)
    device.give_back(offset, device.capacity - 4 * MIB)


def test_a_full_device_says_so_and_has_lost_nothing(device):
    held = []
    with pytest.raises(OutOfSpace, match=r"device 'test\.\w+' of 32 MiB has no room for 4 MiB: "):
        while True:
            held.append(device.lease(4 * MIB))
    assert len(held) == 8
    assert device.free == 0
    for offset in held:
        device.give_back(offset, 4 * MIB)
    assert device.free == device.capacity
    assert device.lease(20 * MIB) >= 0


def test_giving_back_twice_is_refused(device):
    offset, other = device.lease(5000), device.lease(5000)
    device.give_back(offset, 5000)
    remaining = device.remaining
    with pytest.raises(WrpError, match="some of them are free already"):
        device.give_back(offset, 5000)
    with pytest.raises(WrpError, match="some of them are free already"):
        device.give_back(20 * MIB, 4096)
    assert device.remaining == remaining
    device.give_back(other, 5000)
    assert device.free == device.remaining == device.capacity


def test_a_run_whose_way_to_the_node_is_cut_off_is_given_back_once(device, monkeypatch):
    """By the way of a full lane, or of a daemon's client: the task has been done when the handler of a signal raises its error."""
    offset = device.lease(16 * MIB)
    portions = device._portions
    call, told = portions._pool.call, []

    def cut_off(method, *words):
        reply = call(method, *words)
        told.append(method)
        if len(told) == 1:
            raise Interrupted
        return reply
    monkeypatch.setattr(portions, "_ask", None)
    monkeypatch.setattr(portions._pool, "call", cut_off)
    with pytest.raises(Interrupted):
        device.give_back(offset, 16 * MIB), device.expect(32 * MIB)
    assert device.lease(16 * MIB) >= 0
    assert told[0] == bdev.FREE_BLOCKS


def test_a_run_that_found_no_room_in_the_lane_is_given_back_though_an_error_came_then(device, monkeypatch):
    offset = device.lease(16 * MIB)
    portions = device._portions

    def cut_off(*_):
        portions._note[0] = NO_ROOM         # as the kernel says it, behind which a handler of a signal raises its error
        monkeypatch.setattr(portions, "_ask", ask)
        raise Interrupted
    ask = portions._ask
    monkeypatch.setattr(portions, "_ask", cut_off)
    with pytest.raises(Interrupted):
        device.give_back(offset, 16 * MIB), device.expect(32 * MIB)
    assert portions._ask is ask
    device.expect(0)
    assert device.free == device.remaining == device.capacity


def test_what_is_swapped_back_is_had_by_the_next_lease_of_its_size(device):
    first, other = device.lease(MIB), device.lease(MIB)
    remaining, free = device.remaining, device.free
    device.swap_back(first, MIB)
    assert (device.remaining, device.free) == (remaining + MIB, free + MIB)
    assert device.lease(MIB) == first
    device.swap_back(first, MIB)
    device.swap_back(other, MIB)
    assert {device.lease(MIB), device.lease(MIB)} == {first, other} and device.free == free
    device.swap_back(first, MIB)
    remaining = device.remaining
    with pytest.raises(WrpError, match="some of them are free already"):
        device.give_back(first, MIB)
    assert device.remaining == remaining


def test_what_is_swapped_back_is_free_for_all_else(device):
    held = [device.lease(4 * MIB) for _ in range(8)]
    for turn in range(8):
        device.swap_back(held[turn], 4 * MIB)
        if turn % 2:
            assert device.lease(8 * MIB) == held[turn - 1]
    assert device.free == device.remaining == 0
    for offset in held[::2]:
        device.swap_back(offset, 8 * MIB)
    assert device.free == device.remaining == device.capacity
    device.close()
    assert extents_free(device._extents) == device.capacity


def test_runs_in_use_are_taken_over(device):
    runs = np.array([(8 * MIB, 100), (0, MIB), (MIB, 4096), (31 * MIB, 5 * MIB), (50 * MIB, 7)], np.int64)
    device.claim(runs)
    used = MIB + 4096 + device._rounded(100) + MIB
    assert device.free == 32 * MIB - used
    found = []
    with pytest.raises(OutOfSpace):
        while True:
            found.append(device.lease(MIB))
    for offset in found:
        assert all(offset + MIB <= start or start + nbytes <= offset for start, nbytes in runs.tolist())
    for offset, nbytes in runs.tolist():
        device.give_back(offset, nbytes)
    for offset in found:
        device.give_back(offset, MIB)
    assert device.free == device.capacity
    device.lease(1)
    with pytest.raises(WrpError, match="leased already"):
        device.claim(runs)


def test_ranges_outside_are_refused(device):
    with pytest.raises(UsageError):
        device.write(device.capacity - 3, b"1234")
    with pytest.raises(UsageError):
        device.read(-1, bytearray(1))
    with pytest.raises(UsageError):
        device.lease(0)


def test_a_closed_device_gives_its_leases_back(runtime):
    device = runtime.device("d", "ram", 16 * MIB)
    offset = device.lease(MIB)
    device.give_back(offset, MIB)
    device.close()
    device.close()
    assert runtime.pool("d", "bdev").call(bdev.GET_STATS).values[:2] == (16 * MIB, 16 * MIB)
    with pytest.raises(UsageError, match="was closed"):
        device.lease(1)


def test_what_is_expected_is_leased_at_once_and_goes_back_when_it_is_not_in_use(runtime, monkeypatch):
    device = runtime.device("m", "ram", 64 * MIB)
    asked = []
    take = device._portions.take
    monkeypatch.setattr(device._portions, "take", lambda *sizes: asked.append(sizes) or take(*sizes))
    device.expect(40 * MIB)
    places = [device.lease(MIB) for _ in range(40)]
    assert len(asked) == 1 and len(set(places)) == 40 and device.remaining == 24 * MIB
    device.expect(1 << 40)
    more = [device.lease(MIB) for _ in range(24)]
    with pytest.raises(OutOfSpace):
        device.lease(MIB)
    device.expect(0)
    for offset in places + more:
        device.give_back(offset, MIB)
    assert device.free == device.remaining == 64 * MIB
    assert extents_free(device._extents) >= 64 * MIB - 2 * device._most        # for others
    device.lease(64 * MIB)


def test_pieces_that_are_leased_together_stand_one_behind_the_other_as_far_as_a_run_goes(runtime):
    device = runtime.device("m", "ram", 16 * MIB)
    places = []
    while len(places) < 40:
        found = device.lease_some(300_000, 40 - len(places))
        assert found and found.step >= 300_000 and found.step % device.align == 0
        places.extend(found)
    places.sort()
    assert all(after - before >= found.step for before, after in zip(places, places[1:])) and places[-1] + 300_000 <= 16 * MIB
    assert device.remaining == 16 * MIB - 40 * found.step
    with pytest.raises(OutOfSpace):
        device.lease_some(16 * MIB, 3)
    for place in places:
        device.give_back(place, 300_000)
    assert device.free == device.remaining == 16 * MIB


def test_what_is_left_over_of_a_lease_is_good_for_large_pieces_when_more_is_expected(runtime):
    device = runtime.device("m", "ram", 64 * MIB)
    device.expect(40 * MIB)
    places = [device.lease(3 * MIB) for _ in range(14)]
    device.expect(22 * MIB)
    more = [device.lease(MIB) for _ in range(22)]
    assert device.remaining == 0 and len({*places, *more}) == 36


@pytest.mark.parametrize("kind", ["ram", "file"])
@pytest.mark.parametrize("nbytes", [300_000, 700_000, 1_000_000, MIB])
def test_pieces_of_one_length_fill_a_small_device_but_for_less_than_one(runtime, tmp_path, kind, nbytes):
    device = runtime.device("m", kind, 8 * MIB, tmp_path / "data.bin")
    places = [device.lease(nbytes) for _ in range(8 * MIB // device._rounded(nbytes))]
    assert len(set(places)) == len(places) and device.free < device._rounded(nbytes)
    with pytest.raises(OutOfSpace, match=r"of it are free$"):
        device.lease(nbytes)


def test_view_is_the_memory_itself(runtime):
    device = runtime.device("d", "ram", 16 * MIB)
    offset = device.lease(1000)
    device.view(offset, 1000)[10:13] = b"abc"
    out = bytearray(5)
    device.read(offset + 9, out)
    assert out == b"\0abc\0"


def test_memory_is_backed_before_a_lease_returns(runtime, monkeypatch):
    device = runtime.device("d", "ram", 30 * MIB)
    reserved = []
    monkeypatch.setattr(runtime.segment, "reserve", lambda offset, nbytes: reserved.append((offset - device._base, nbytes)))
    offset = device.lease(29 * MIB)
    device.give_back(offset, 29 * MIB)
    device.lease(MIB), device.lease(28 * MIB)
    assert sorted(reserved)[0][0] <= offset
    assert len(reserved) == len(set(reserved)) and sum(nbytes for _, nbytes in reserved) <= 30 * MIB
    assert sum(nbytes for _, nbytes in reserved) >= 29 * MIB


def test_memory_that_is_not_there_is_out_of_space(runtime, monkeypatch):
    device = runtime.device("d", "ram", 30 * MIB)

    def refuse(offset, nbytes):
        raise OutOfSpace("Shared memory has no room.")

    monkeypatch.setattr(runtime.segment, "reserve", refuse)
    with pytest.raises(OutOfSpace, match="Shared memory has no room"):
        device.lease(MIB)
    assert device.free == device.capacity


def test_a_file_grows_with_its_leases_and_a_full_disk_is_out_of_space(runtime, tmp_path, monkeypatch):
    device = runtime.device("f", "file", 64 * MIB, tmp_path / "f.bin")
    offset = device.lease(MIB)
    assert os.stat(tmp_path / "f.bin").st_size >= offset + MIB
    (tmp_path / "new").touch()
    assert os.stat(tmp_path / "f.bin").st_mode == os.stat(tmp_path / "new").st_mode        # as the umask says

    def full(fd, offset, nbytes):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    free = device.free
    with pytest.raises(OutOfSpace, match="f.bin has no room for it"):
        device.lease(16 * MIB)
    assert device.free == free


def test_a_file_system_without_fallocate(runtime, tmp_path, monkeypatch):
    def refuse(fd, offset, nbytes):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    device = runtime.device("f", "file", 64 * MIB, tmp_path / "f.bin")
    offset = device.lease(5 * MIB)
    device.read(offset, bytearray(5 * MIB))


def test_errors_of_files_name_them(runtime, tmp_path):
    with pytest.raises(StoreError, match="none/f.bin of device 'f' can't be opened: No such file"):
        runtime.device("f", "file", MIB, tmp_path / "none" / "f.bin")
    device = runtime.device("g", "file", MIB, tmp_path / "g.bin")
    with pytest.raises(OSError, match="file ends before byte 100.*g.bin"):
        device.read(0, bytearray(100))
    (tmp_path / "g.bin").write_bytes(b"x" * 8192)
    reader = runtime.device("h", "file", MIB, tmp_path / "g.bin", read_only=True)
    with pytest.raises(UsageError, match="opened for reading only"):
        reader.lease(1)
    with pytest.raises(OSError, match="g.bin"):
        reader.write(0, b"x")


def test_ram_that_does_not_fit_into_the_segment(runtime):
    with pytest.raises(OutOfSpace, match="raise runtime.segment_capacity"):
        runtime.device("big", "ram", 1 << 40)


@pytest.mark.parametrize("kind", ["ram", "file", GPU])
def test_read_and_write_as_tasks(runtime, tmp_path, kind):
    staging = runtime.device("staging", "ram", 4 * MIB)
    runtime.device("target", kind, 16 * MIB, tmp_path / "t.bin")
    pool = runtime.pool("target", "bdev")
    buffer, back = staging.lease(100_000), staging.lease(100_000)
    staging.write(buffer, os.urandom(100_000))
    block = pool.call(bdev.ALLOCATE_BLOCKS, 100_000, 100_000).values[0]
    assert pool.call(bdev.WRITE, block, staging._base + buffer, 100_000) == (0, (100_000, 0, 0, 0))
    assert pool.call(bdev.READ, block, staging._base + back, 100_000).code == 0
    assert staging.view(back, 100_000) == staging.view(buffer, 100_000)
    assert pool.call(bdev.GET_STATS).values[2:] == (100_000, 100_000)
    assert pool.call(bdev.WRITE, 16 * MIB - 5, staging._base, 6).code == bdev.OUT_OF_BOUNDS
    assert pool.call(bdev.READ, 0, runtime.segment.nbytes - 5, 6).code == bdev.OUT_OF_BOUNDS
    assert pool.call(bdev.ALLOCATE_BLOCKS, 17 * MIB, 17 * MIB).code == bdev.NO_SPACE
    assert pool.call(bdev.FREE_BLOCKS, block, 100_000).code == 0
    assert pool.call(bdev.FREE_BLOCKS, block, 100_000).code == bdev.NOT_TAKEN
    assert pool.call(55).code == bdev.UNKNOWN_METHOD
    assert pool.call(bdev.SYNC).code == 0


def test_a_gpu_that_is_not_there_is_refused_with_what_is_missing(runtime):
    if not _why_no_gpu():
        pytest.skip("this machine has a gpu")
    with pytest.raises(UsageError, match="a device of kind gpu needs (the package cupy|a gpu)"):
        runtime.device("g", "gpu", MIB)


@pytest.mark.parametrize("wrong, sentence", [({"kind": "tape"}, "it must be one of ram, pinned, file, gpu, noop, object, safe"), ({"kind": "file"}, "has no path"),
                                             ({"kind": "ram", "alignment": 3}, "power of two"), ({"kind": "ram", "persistence": "a day"}, "one of volatile"),
                                             ({"kind": "noop", "capacity": 100}, "has no capacity")])
def test_what_no_device_can_be_is_refused(runtime, wrong, sentence):
    with pytest.raises(UsageError, match=sentence):
        runtime.device("wrong", **{"capacity": MIB, **wrong})
    with pytest.raises(UsageError, match="takes no colour"):
        runtime.pool("ram::red", "bdev", colour=3)


def test_a_noop_device_has_space_and_no_bytes(runtime):
    buffer = runtime.device("staging", "ram", MIB)
    pool = runtime.pool("nothing", "bdev", bdev_type="noop", capacity=1 << 50)
    block, nbytes, *_ = pool.call(bdev.ALLOCATE_BLOCKS, 1 << 40).values
    assert pool.call(bdev.WRITE, block, buffer._base, 1000) == (0, (1000, 0, 0, 0))
    assert pool.call(bdev.GET_STATS).values == (1 << 50, (1 << 50) - (1 << 40), 1000, 0)
    assert pool.call(bdev.FREE_BLOCKS, block, nbytes).code == 0 == pool.call(bdev.SYNC).code


def test_keys_of_the_configuration_reach_the_device(configured, tmp_path):
    config = configured(f"""
runtime: {{segment_capacity: 64m}}
compose:
  - {{mod_name: bdev, pool_name: {tmp_path}/d.bin, capacity: 16m, io_depth: 5, direct_io: true, alignment: 8k, persistence_level: long_term,
     perf_metrics: {{iops: 77, read_latency_us: 9}}}}
""")
    with Runtime(Solo(), config) as runtime:
        device = runtime.devices[f"{tmp_path}/d.bin"]
        facts = device.facts
        assert (facts["io_depth"], facts["direct_alignment"], facts["persistence_level"], device.align) == (5, 8192, "long_term", 8192)
        assert facts["perf_metrics"] == {"read_bandwidth_mbps": 100, "write_bandwidth_mbps": 80, "read_latency_us": 9, "write_latency_us": 1200, "iops": 77}
        assert runtime._io._most == 5


@pytest.mark.parametrize("level, synced", [("volatile", 0), ("temporary", 0), ("long_term", 2)])
def test_sync_reaches_storage_where_the_device_promises_it(runtime, tmp_path, monkeypatch, level, synced):
    device, calls = runtime.device("f", "file", MIB, tmp_path / "f.bin", persistence=level), []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    device.sync(), device.sync()
    assert len(calls) == synced
    assert runtime.pool("f", "bdev").call(bdev.SYNC).code == 0
    assert Meter(runtime.node).workers()[0].waits == (1 if synced else 0)       # a thread's work


def test_a_long_churn_of_a_small_device_ends_where_it_began(runtime):
    churn(runtime.device("small", "noop", 8 * MIB), operations=100_000, seed=5)
