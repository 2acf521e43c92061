"""Makes the device of a bdev pool: its tables and its region in the node's segment. Collective over the node."""

from wrp.comm import atomics
from wrp.comm.extents import Extents
from wrp.errors import OutOfSpace, UsageError
from wrp.runtime import bdev
from wrp.runtime.devices import ram
from wrp.runtime.devices.device import TABLE_RUNS
from wrp.runtime.devices.file import FileDevice
from wrp.runtime.devices.ram import RamDevice

_CLASSES = {"ram": RamDevice, "file": FileDevice}
_NUMBERS = {"ram": bdev.RAM, "file": bdev.FILE}


def make_device(node, pool, spec):
    """The Device of a bdev pool on this rank. Collective over the node.

    spec : (kind, capacity in bytes, path of the file or None, read_only)
    Raises UsageError, OutOfSpace, and StoreError when the file can't be opened; the same on every rank of the node.
    """
    kind, capacity, path, read_only = spec
    with node.ranks.agreed(f"making device {pool.name!r}"):
        if kind not in _CLASSES:
            raise UsageError(f"device {pool.name!r} is of kind {kind!r}: it must be ram or file")
        if kind == "file" and not path:
            raise UsageError(f"device {pool.name!r} is a file and has no path")
        if node.ranks.rank == 0 and not atomics.load(pool._slot.params + bdev.EXTENTS):
            _place(node, pool, kind, capacity)
    with node.ranks.agreed(f"opening device {pool.name!r}"):
        if kind == "ram":
            return RamDevice(node, pool, pool.name)
        return FileDevice(node, pool, pool.name, path, read_only)


def _place(node, pool, kind, capacity):
    """Make the tables, and the region of a device in ram; tell the worker through the pool's parameters."""
    align = _CLASSES[kind].align
    capacity = capacity // align * align
    if capacity <= 0:
        raise UsageError(f"device {pool.name!r} has no capacity: give it at least {align} bytes")
    params, segment = pool._slot.params, node.segment
    if kind == "ram":
        base, backed = _place_ram(segment, pool.name, capacity)
        atomics.store(params + bdev.BASE, base)
        atomics.store(params + bdev.BACKED, backed)
    extents, _ = segment.place(f"bdev.{pool.name}.extents", Extents.nbytes(TABLE_RUNS))
    Extents.create(segment, extents, capacity, TABLE_RUNS)
    for offset, word in ((bdev.KIND, _NUMBERS[kind]), (bdev.CAPACITY, capacity), (bdev.ALIGN, align), (bdev.EXTENTS, extents)):
        atomics.store(params + offset, word)


def _place_ram(segment, name, capacity):
    table_nbytes = ram.table_nbytes(capacity)
    try:
        backed, _ = segment.place(f"bdev.{name}.backed", table_nbytes)
        base, _ = segment.place(f"bdev.{name}.bytes", capacity, ram.PAGE)
    except OutOfSpace as error:
        raise OutOfSpace(f"device {name!r}: {ram.describe_room(capacity)}") from error
    segment.reserve(backed, table_nbytes)
    return base, backed
