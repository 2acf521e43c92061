"""Makes the device of a bdev pool: its tables and its region in the node's segment. Collective over the node."""

import logging

from wrp.comm import atomics
from wrp.comm.extents import Extents
from wrp.comm.sizes import format_size
from wrp.errors import OutOfSpace, UsageError
from wrp.runtime import bdev
from wrp.runtime.devices import gpu, pinned, ram, spec
from wrp.runtime.devices.device import TABLE_RUNS
from wrp.runtime.devices.file import FileDevice
from wrp.runtime.devices.gpu import GpuDevice
from wrp.runtime.devices.noop import NoopDevice
from wrp.runtime.devices.objects import ObjectDevice, make_bucket
from wrp.runtime.devices.pinned import PinnedDevice
from wrp.runtime.devices.ram import RamDevice
from wrp.runtime.devices.safe.device import SafeDevice, make_array

_log = logging.getLogger("wrp.runtime")
_CLASSES = {"ram": RamDevice, "pinned": PinnedDevice, "file": FileDevice, "gpu": GpuDevice, "noop": NoopDevice, "safe": SafeDevice, "object": ObjectDevice}


def make_device(node, pool, asked):
    """The Device of a bdev pool on this rank, as the Spec `asked`. Collective over the node.

    Raises UsageError, OutOfSpace, and StoreError when the file can't be opened; the same on every rank of the node.
    """
    memory = None
    with node.ranks.agreed(f"making device {pool.name!r}"):
        asked.check(pool.name)
        if node.ranks.rank == 0 and not atomics.load(pool._slot.params + bdev.EXTENTS):
            memory = _place(node, pool, asked)
    with node.ranks.agreed(f"opening device {pool.name!r}"):
        return _opened(node, pool, asked.path, asked.read_only, memory)


def open_device(node, pool, path):
    """The Device of a bdev pool that another process has made. Local."""
    return _opened(node, pool, path, False, None)


def _opened(node, pool, path, read_only, memory):
    params = pool._slot.params
    kind = spec.KINDS[atomics.load(params + bdev.KIND)]
    if kind == "ram" and atomics.load(node.address + atomics.load(params + bdev.EXTENTS) - bdev.FACTS_NBYTES + bdev.PINNED):
        return PinnedDevice(node, pool, pool.name, memory)
    if kind == "file":
        return FileDevice(node, pool, pool.name, path, read_only)
    if kind in ("safe", "object"):
        return _CLASSES[kind](node, pool, pool.name, path, memory)
    return GpuDevice(node, pool, pool.name, memory) if kind == "gpu" else _CLASSES[kind](node, pool, pool.name)


def _place(node, pool, asked):
    """Make the tables and take the memory; tell the worker through the pool's parameters. What the first rank's own object is made of: the address of a gpu's
    memory, the array of a safe device, the bucket of objects, whether memory is locked."""
    kind, align = asked.kind, _CLASSES[asked.kind].align
    if asked.direct:
        align = max(align, asked.alignment)
    capacity = (asked.capacity or _largest(node.segment, pool.name, kind)) // align * align
    if capacity <= 0:
        raise UsageError(f"device {pool.name!r} has no capacity: give it at least {align} bytes")
    params, segment, memory = pool._slot.params, node.segment, None
    if kind in ("ram", "pinned"):
        base = _place_ram(segment, pool.name, capacity)
        if kind == "pinned":
            memory = pinned.lock(node, pool.name, base, capacity)
        atomics.store(params + bdev.BASE, base)
    elif kind == "gpu":
        handle, _ = segment.place(f"bdev.{pool.name}.handle", gpu.HANDLE_NBYTES)
        segment.reserve(handle, gpu.HANDLE_NBYTES)
        memory = gpu.allocate(pool.name, capacity, segment.buffer[handle:handle + gpu.HANDLE_NBYTES])
        atomics.store(params + bdev.BASE, handle)
    facts, _ = segment.place(f"bdev.{pool.name}.extents", bdev.FACTS_NBYTES + Extents.nbytes(TABLE_RUNS))
    extents = facts + bdev.FACTS_NBYTES
    segment.reserve(facts, bdev.FACTS_NBYTES)
    asked.note(node.address + facts)
    if kind == "safe":
        memory = make_array(node, pool.name, asked, node.address + facts + bdev.UNDER_WAY)
        capacity = memory.label.capacity
    elif kind == "object":
        memory = make_bucket(node, pool.name, asked)
        capacity = memory.header["capacity"]
    Extents.create(segment, extents, capacity, TABLE_RUNS)
    for offset, word in ((bdev.KIND, spec.NUMBERS[kind]), (bdev.CAPACITY, capacity), (bdev.ALIGN, align), (bdev.EXTENTS, extents)):
        atomics.store(params + offset, word)
    return memory


def _largest(segment, name, kind):
    """The bytes of a ram device of capacity 0: a share of the machine's memory, as far as the segment has room; 0 of other kinds."""
    found = ram.share_of_memory(segment.room - 2 * (bdev.FACTS_NBYTES + Extents.nbytes(TABLE_RUNS))) if kind in ("ram", "pinned") else 0
    if found:
        _log.info("device %r has a capacity of 0: it gets %s", name, format_size(found))
    return found


def _place_ram(segment, name, capacity):
    try:
        base, _ = segment.place(f"bdev.{name}.bytes", capacity, ram.PAGE)
    except OutOfSpace as error:
        raise OutOfSpace(f"device {name!r}: {ram.describe_room(capacity)}") from error
    return base
