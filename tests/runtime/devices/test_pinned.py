"""Memory that is locked, and devices that take what there is."""

import ctypes
import logging
import resource
from contextlib import contextmanager

import pytest

from wrp.comm import memory
from wrp.comm.ranks.solo import Solo
from wrp.errors import OutOfSpace, UsageError
from wrp.runtime import bdev
from wrp.runtime.runtime import Runtime

MIB = 1 << 20
_LOCKS = 1 << 14                # CAP_IPC_LOCK


def locked():
    """Bytes that this process has locked."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmLck"))


@contextmanager
def without_capability(limit):
    """This thread may lock so many bytes only."""
    libc, head = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0)
    before, limits = (ctypes.c_uint32 * 6)(), resource.getrlimit(resource.RLIMIT_MEMLOCK)
    assert libc.capget(head, before) == 0
    changed = (ctypes.c_uint32 * 6)(*before)
    changed[0] &= ~_LOCKS
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (min(limit, limits[1]) if limits[1] != resource.RLIM_INFINITY else limit, limits[1]))
    assert libc.capset(head, changed) == 0
    try:
        yield
    finally:
        libc.capset(head, before)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)


def test_it_is_locked_as_long_as_it_is_open(runtime):
    before = locked()
    device = runtime.device("p", "pinned", 4 * MIB)
    assert locked() - before >= 4 * MIB and device.kind == "pinned" and device.facts["pinned"]
    offset = device.lease(100_000)
    device.write(offset, b"p" * 100_000)
    out = bytearray(100_000)
    device.read(offset, out)
    assert out == b"p" * 100_000 == device.view(offset, 100_000)
    pool = runtime.pool("p", "bdev")
    block = pool.call(bdev.ALLOCATE_BLOCKS, 4096, 4096).values[0]
    assert pool.call(bdev.WRITE, block, device._base + offset, 4096).code == 0 and device.view(block, 4096) == b"p" * 4096
    device.close()
    assert locked() == before


def test_a_limit_that_is_too_low_is_said(runtime):
    with without_capability(64 << 10), pytest.raises(OutOfSpace, match=r"device 'p': 4 MiB of memory can't be locked \(.*\): this process may lock 64 KiB \(ulimit -l, RLIMIT_MEMLOCK\)"):
        runtime.device("p", "pinned", 4 * MIB)


def test_a_capacity_of_0_is_what_there_is(configured, caplog):
    config = configured("runtime: {segment_capacity: 64m}\ncompose:\n  - {mod_name: bdev, pool_name: 'ram::all', capacity: 0g}\n")
    with caplog.at_level(logging.INFO, "wrp.runtime"), Runtime(Solo(), config) as runtime:
        device = runtime.devices["ram::all"]
        assert 64 * MIB <= device.capacity < 128 * MIB and "device 'ram::all' has a capacity of 0: it gets" in caplog.text
        device.write(device.lease(MIB), b"x" * MIB)
    with Runtime(Solo(), configured("compose:\n  - {mod_name: bdev, pool_name: 'ram::all', capacity: 0}\n")) as runtime:
        total = memory.total()
        assert 0.7 * total < runtime.devices["ram::all"].capacity <= 0.8 * total
    with Runtime(Solo(), configured("runtime: {segment_capacity: 64m}")) as runtime, pytest.raises(UsageError, match="has no capacity"):
        runtime.device("n", "noop", 0)
