"""The module bdev: space and bytes of one device of a node, as jitted handlers of its worker. Chooses no sizes and opens no file."""

from wrp.comm import atomics
from wrp.comm.extents import extents_free, extents_give, extents_take_run
from wrp.comm.jit import kernel
from wrp.runtime.clients import client_hold, client_release
from wrp.runtime.tasks import ARGS, CLIENT, METHOD, POOL, task_value

ALLOCATE_BLOCKS, FREE_BLOCKS, WRITE, READ, GET_STATS = 10, 11, 12, 13, 14
METHODS = {ALLOCATE_BLOCKS: "AllocateBlocks", FREE_BLOCKS: "FreeBlocks", WRITE: "Write", READ: "Read", GET_STATS: "GetStats"}

FILE, RAM = 0, 1                                # as the reference numbers them

# Return codes
NO_SPACE = 1            # AllocateBlocks: no run of that length is free
OUT_OF_BOUNDS = 1       # Write, Read: outside the device or the segment
NOT_TAKEN = 2           # FreeBlocks: some bytes are free already, lie outside, or an attached process hasn't leased them
TABLE_FULL = 3          # FreeBlocks: the table of free runs has no room for another; AllocateBlocks: an attached process has too many
NOT_MADE = 5            # any: making the pool's device failed, or isn't done yet
IO_FAILED = 4           # Write, Read: the first result is the errno, 0 when the file was too short
UNKNOWN_METHOD = -1

# Words of a pool's parameters, byte offsets
KIND, CAPACITY, EXTENTS, BASE, WRITTEN, READ_BYTES, ALIGN, BACKED = 0, 8, 16, 24, 32, 40, 48, 56


@kernel
def bdev_run(task, params, base, nbytes, fd):
    """Run one task: its return code. `params`: address of the pool's parameters; `base`, `nbytes`: of the segment; `fd`: of a file."""
    if atomics.load(params + EXTENTS) == 0:
        return NOT_MADE
    method = atomics.load(task + METHOD)
    a0, a1, a2 = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    if method == ALLOCATE_BLOCKS:
        return _allocate(task, params, base, a0, a1)
    if method == FREE_BLOCKS:
        return _free(task, params, base, a0, a1)
    if method == WRITE or method == READ:
        if not _fits(params, nbytes, a0, a1, a2):
            return OUT_OF_BOUNDS
        return _move(task, params, base, fd)
    if method == GET_STATS:
        task_value(task, 0, atomics.load(params + CAPACITY))
        task_value(task, 1, extents_free(base + atomics.load(params + EXTENTS)))
        task_value(task, 2, atomics.load(params + WRITTEN))
        task_value(task, 3, atomics.load(params + READ_BYTES))
        return 0
    return UNKNOWN_METHOD


@kernel
def _allocate(task, params, base, least, most):
    """One run of `least` bytes or more, up to `most`; results: its offset and length."""
    extents, client = base + atomics.load(params + EXTENTS), atomics.load(task + CLIENT)
    offset, nbytes = extents_take_run(extents, least, most, atomics.load(params + ALIGN))
    if offset < 0:
        return NO_SPACE
    if client != 0 and client_hold(base + client, atomics.load(task + POOL), offset, nbytes) != 0:
        extents_give(extents, offset, nbytes)
        return TABLE_FULL
    task_value(task, 0, offset)
    task_value(task, 1, nbytes)
    return 0


@kernel
def _free(task, params, base, offset, nbytes):
    client, pool = atomics.load(task + CLIENT), atomics.load(task + POOL)
    if client != 0:
        code = client_release(base + client, pool, offset, nbytes)
        if code != 0:
            return TABLE_FULL if code == -3 else NOT_TAKEN
    code = extents_give(base + atomics.load(params + EXTENTS), offset, nbytes)
    if code == 0:
        return 0
    if client != 0:
        client_hold(base + client, pool, offset, nbytes)
    return TABLE_FULL if code == -3 else NOT_TAKEN


@kernel
def _fits(params, segment_nbytes, offset, buffer, nbytes):
    return (0 <= offset and 0 <= buffer and 0 <= nbytes and nbytes <= atomics.load(params + CAPACITY) - offset
            and nbytes <= segment_nbytes - buffer)


@kernel
def _move(task, params, base, fd):
    """Copy between the device and the segment's bytes at `buffer`."""
    writes = atomics.load(task + METHOD) == WRITE
    offset, buffer, nbytes = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    if atomics.load(params + KIND) == RAM:
        place = base + atomics.load(params + BASE) + offset
        if writes:
            atomics.copy(place, base + buffer, nbytes)
        else:
            atomics.copy(base + buffer, place, nbytes)
        moved = nbytes
    elif writes:
        moved = atomics.pwrite(fd, base + buffer, nbytes, offset)
    else:
        moved = atomics.pread(fd, base + buffer, nbytes, offset)
    if moved != nbytes:
        task_value(task, 0, -moved if moved < 0 else 0)
        return IO_FAILED
    task_value(task, 0, nbytes)
    atomics.add(params + (WRITTEN if writes else READ_BYTES), nbytes)
    return 0
