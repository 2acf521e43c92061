"""The module bdev: space and bytes of one device of a node, as jitted handlers of its worker. Chooses no sizes and opens no file."""

from wrp.comm import atomics
from wrp.comm.extents import extents_free, extents_give, extents_resize, extents_take_run, extents_take_tail
from wrp.comm.jit import kernel
from wrp.comm.streaming import copy_streaming
from wrp.runtime import lanes, pools, requests
from wrp.runtime.clients import client_hold, client_release
from wrp.runtime.handlers import RETRY, WAIT, child_code, child_value, expect, keep, kept
from wrp.runtime.tasks import ARGS, CLIENT, COLLECTED, METHOD, POOL, task_value
from wrp.runtime.waiting import context as own
from wrp.runtime.waiting.parking import MOVING, park

ALLOCATE_BLOCKS, FREE_BLOCKS, WRITE, READ, GET_STATS, UPDATE, SET_LIFESPAN, FLUSH_ALLOC_LOG, SYNC = 10, 11, 12, 13, 14, 15, 16, 17, 18
ADD_BDEV, REMOVE_BDEV, RECOVER_BDEV, BUILD_PARITY = 21, 22, 23, 24      # of a device of kind safe
METHODS = {ALLOCATE_BLOCKS: "AllocateBlocks", FREE_BLOCKS: "FreeBlocks", WRITE: "Write", READ: "Read", GET_STATS: "GetStats", UPDATE: "Update",
           SET_LIFESPAN: "SetLifespan", FLUSH_ALLOC_LOG: "FlushAllocLog", SYNC: "Sync",
           ADD_BDEV: "AddBdev", REMOVE_BDEV: "RemoveBdev", RECOVER_BDEV: "RecoverBdev", BUILD_PARITY: "BuildParity"}

FILE, RAM, GPU, NOOP = 0, 1, 2, 4               # as the reference numbers them; its 2 is the memory of a gpu
OBJECT, SAFE = 5, 7     # its 5 is s3

# Return codes
NO_SPACE = 1            # AllocateBlocks: no run of that length is free
OUT_OF_BOUNDS = 1       # Write, Read: outside the device or the segment; SetLifespan: less than no days
NOT_TAKEN = 2           # FreeBlocks: some bytes are free already, lie outside, or an attached process hasn't leased them
TABLE_FULL = 3          # FreeBlocks: the table of free runs has no room for another; AllocateBlocks: an attached process has too many
NOT_MADE = 5            # any: making the pool's device failed, or isn't done yet
IO_FAILED = 4           # Write, Read, Sync: the first result is the errno, 0 when the file was too short
REFUSED = 6             # AddBdev, RemoveBdev, RecoverBdev, BuildParity: the log of the process that serves the pool says why; Update: always
UNKNOWN_METHOD = -1

# Words of a pool's parameters, byte offsets
KIND, CAPACITY, EXTENTS, BASE, WRITTEN, READ_BYTES, ALIGN = 0, 8, 16, 24, 32, 40, 48

# What was said of the device when it was made: words just before its table of free runs, byte offsets
FACTS_NBYTES = 192
IO_DEPTH, DIRECT_ALIGN, PERSISTENCE = 0, 8, 16          # DIRECT_ALIGN: of buffers, places and sizes past the page cache, 0: none goes there
READ_MBPS, WRITE_MBPS, READ_US, WRITE_US, IOPS = 24, 32, 40, 48, 56
USED = 64               # bytes leased by the processes of the node, see Device.remaining
PINNED = 104            # 1: of kind ram, and locked
LIFESPAN = 112          # days that the device is expected to live on, -1: nobody has said
UNDER_WAY, RECOVERED, LOST, OUT = 72, 80, 88, 96        # of kind safe: rows being written, chunks that came back or are lost, members out as bits
RECOVERY_ROWS, RECOVERY_DONE, RECOVERY_NOW = 120, 128, 136     # of kind safe: rows that are, were and are just being gone through by so many of Recover and BuildParity
MAX_FAILURES, BOARD = 144, 152      # of kind safe; BOARD: where its board lies in the segment
VOLATILE, TEMPORARY, LONG_TERM = 0, 1, 2

DIRECT = pools.MOST     # of this process's file descriptors that of pool p has the place p, past the page cache DIRECT + p; -1: none
_LARGE = 256 << 10      # from this size on a write goes past this core's cache: the worker won't read it
_SLOW_NS, _WARY_NS = 1_000_000, 20_000_000
_EAGAIN, _EOPNOTSUPP = 11, 95
_TEXT_NBYTES = 4096     # most bytes of a path


@kernel
def bdev_run(context, task, params, step):
    """Run one step of a task: its return code, WAIT or RETRY. `params`: address of the pool's parameters."""
    if atomics.load(params + EXTENTS) == 0:
        return NOT_MADE
    base, method = atomics.load(context + own.BASE), atomics.load(task + METHOD)
    a0, a1, a2 = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    if method == ALLOCATE_BLOCKS:
        return _allocate(task, params, base, a0, a1, a2)
    if method == FREE_BLOCKS:
        return _free(task, params, base, a0, a1)
    if method == WRITE or method == READ:
        if step != 0:
            return _moved(context, task, params)
        if not _fits(params, atomics.load(context + own.NBYTES), a0, a1, a2):
            return OUT_OF_BOUNDS
        return _move(context, task, params)
    if method == SYNC:
        return _sync(context, task, params, step)
    if ADD_BDEV <= method <= BUILD_PARITY and atomics.load(params + KIND) == SAFE:
        return _change(context, task, params, step)
    if method == GET_STATS:
        if a0 == 1:
            for number in range(4):
                task_value(task, number, _fact(context, params, UNDER_WAY + 8 * number))
            return 0
        if a0 == 2:
            for number in range(3):
                task_value(task, number, _fact(context, params, RECOVERY_ROWS + 8 * number))
            task_value(task, 3, _parity_level(context, params))
            return 0
        task_value(task, 0, atomics.load(params + CAPACITY))
        task_value(task, 1, extents_free(base + atomics.load(params + EXTENTS)))
        task_value(task, 2, atomics.load(params + WRITTEN))
        task_value(task, 3, atomics.load(params + READ_BYTES))
        return 0
    return _minor(params, base, method, a0)


@kernel
def _parity_level(context, params):
    """How many more members of a safe device may be lost."""
    left, out = _fact(context, params, MAX_FAILURES), _fact(context, params, OUT)
    while out != 0:
        out &= out - 1
        left -= 1
    return left


@kernel
def _minor(params, base, method, days):
    """What the reference's devices are told besides, as far as there is something to do here."""
    if method == SET_LIFESPAN:
        if days < 0:
            return OUT_OF_BOUNDS
        atomics.store(base + atomics.load(params + EXTENTS) - FACTS_NBYTES + LIFESPAN, days)
        return 0
    if method == FLUSH_ALLOC_LOG:
        return 0                # no device logs what it allocates: whose space it is stands in the journal of its store
    return REFUSED if method == UPDATE else UNKNOWN_METHOD      # the memory of a gpu is found by its handle, no pointer is needed


@kernel
def _allocate(task, params, base, least, most, begin):
    """One run of `least` bytes or more, up to `most`, at or behind `begin` where there is one; results: its offset and length."""
    extents, client = base + atomics.load(params + EXTENTS), atomics.load(task + CLIENT)
    offset, nbytes = extents_take_run(extents, least, most, atomics.load(params + ALIGN), begin)
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
def _move(context, task, params):
    """Copy between the device and the segment's bytes at `buffer`: now, or by a thread while this worker runs other tasks."""
    base, kind = atomics.load(context + own.BASE), atomics.load(params + KIND)
    writes = atomics.load(task + METHOD) == WRITE
    offset, buffer, nbytes = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    if kind == RAM:
        _copy(base + atomics.load(params + BASE) + offset, base + buffer, nbytes, writes)
    elif kind != NOOP and nbytes > 0:
        return _move_elsewhere(context, task, params)
    return _answer(task, params, writes, nbytes, nbytes)


@kernel
def _copy(place, buffer, nbytes, writes):
    if not writes:
        atomics.copy(buffer, place, nbytes)
    elif nbytes < _LARGE:
        atomics.copy(place, buffer, nbytes)
    else:
        copy_streaming(place, buffer, nbytes)


@kernel
def bdev_suits(context, task, params):
    """True when a thread of the context's process may move the bytes of this read or write itself: the device is ram, or a file whose bytes go
    through the page cache, and the range is right."""
    kind, pool = atomics.load(params + KIND), atomics.load(task + POOL)
    offset, buffer, nbytes = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    if atomics.load(params + EXTENTS) == 0 or nbytes <= 0 or not _fits(params, atomics.load(context + own.NBYTES), offset, buffer, nbytes):
        return False
    if kind == FILE:
        # what can go past the cache waits for storage: that is for threads
        return _descriptor(context, pool) >= 0 and not _goes_direct(context, task, params)
    return kind == RAM


@kernel
def bdev_move(context, task, params):
    """Move the bytes of a read or write that `bdev_suits` here: True when all of them were, and the results are in the task. Touches nothing that
    is the worker's."""
    base, writes, pool = atomics.load(context + own.BASE), atomics.load(task + METHOD) == WRITE, atomics.load(task + POOL)
    offset, buffer, nbytes = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    moved = nbytes
    if atomics.load(params + KIND) == RAM:
        _copy(base + atomics.load(params + BASE) + offset, base + buffer, nbytes, writes)
    elif writes:
        moved = atomics.pwrite(_descriptor(context, pool), base + buffer, nbytes, offset)
    else:
        moved = atomics.pread_now(_descriptor(context, pool), base + buffer, nbytes, offset)
    return moved == nbytes and _answer(task, params, writes, nbytes, moved) == 0


@kernel
def _goes_direct(context, task, params):
    """True when the bytes can be moved past the page cache."""
    base, align = atomics.load(context + own.BASE), _fact(context, params, DIRECT_ALIGN)
    offset, buffer, nbytes = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    return _descriptor(context, DIRECT + atomics.load(task + POOL)) >= 0 and align > 0 and (offset | base + buffer | nbytes) & (align - 1) == 0


@kernel
def _move_elsewhere(context, task, params):
    base, pool = atomics.load(context + own.BASE), atomics.load(task + POOL)
    writes = atomics.load(task + METHOD) == WRITE
    offset, buffer, nbytes = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    if atomics.load(params + KIND) in (GPU, OBJECT, SAFE):
        return _ask(context, task, requests.MOVER_WRITE if writes else requests.MOVER_READ, pool, -1)
    fd = _descriptor(context, pool)
    if _goes_direct(context, task, params):
        return _ask(context, task, requests.WRITE if writes else requests.READ, _descriptor(context, DIRECT + pool), fd)
    if writes:
        if not _may_write_now(context):
            return _ask(context, task, requests.WRITE, fd, fd)
        before = atomics.now_ns()
        moved = atomics.pwrite(fd, base + buffer, nbytes, offset)
        after = atomics.now_ns()
        if after - before > _SLOW_NS:
            atomics.store(context + own.SLOW_UNTIL, after + _WARY_NS)
    else:
        moved = atomics.pread_now(fd, base + buffer, nbytes, offset)
        if moved == -_EOPNOTSUPP:           # a file system in memory: nothing to wait for
            moved = atomics.pread(fd, base + buffer, nbytes, offset)
        elif moved == -_EAGAIN or 0 <= moved < nbytes:
            return _ask(context, task, requests.READ, fd, fd)
    return _answer(task, params, writes, nbytes, moved)


@kernel
def _may_write_now(context):
    """True when a write to the page cache, which is a copy, may be made by the worker: nobody waits for it, and the last ones were quick."""
    return (atomics.load(context + own.IN_FLIGHT) == 0 and lanes.lane_waiting(atomics.load(context + own.LANE)) == 0
            and (atomics.load(context + own.SLOW_UNTIL) == 0 or atomics.now_ns() >= atomics.load(context + own.SLOW_UNTIL)))


@kernel
def _ask(context, task, what, fd, other):
    """Hand a request to the process's I/O threads: WAIT, or RETRY when their queue is full or no record is free."""
    place, buffer, nbytes = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    return _ask_for(context, task, what, fd, other, atomics.load(context + own.BASE) + buffer, nbytes, place)


@kernel
def _ask_for(context, task, what, fd, other, address, nbytes, place):
    queue, base = atomics.load(context + own.REQUESTS), atomics.load(context + own.BASE)
    if queue == 0 or not requests.has_room(queue):
        return RETRY
    offset = expect(context, task)
    if offset < 0:
        return RETRY
    requests.fill(base + offset, what, fd, other, address, nbytes, place)
    atomics.store(context + own.IN_FLIGHT, atomics.load(context + own.IN_FLIGHT) + 1)
    atomics.store(task + COLLECTED, 1)      # of the next run of a periodic task the sums are new ones
    park(context, task, MOVING, 0)
    requests.push(queue, offset)
    return WAIT


@kernel
def _moved(context, task, params):
    """A thread has done what was asked."""
    atomics.store(context + own.IN_FLIGHT, atomics.load(context + own.IN_FLIGHT) - 1)
    if child_code(task) != 0:
        return child_code(task)
    return _answer(task, params, atomics.load(task + METHOD) == WRITE, atomics.load(task + ARGS + 16), child_value(task, 0))


@kernel
def _answer(task, params, writes, nbytes, moved):
    if moved != nbytes:
        task_value(task, 0, -moved if moved < 0 else 0)
        return IO_FAILED
    task_value(task, 0, nbytes)
    place = params + (WRITTEN if writes else READ_BYTES)
    atomics.add(place, nbytes)
    return 0


@kernel
def _sync(context, task, params, step):
    """What was written is on storage when the task is done, where the device promises that."""
    if step == 0:
        kind = atomics.load(params + KIND)
        if kind == SAFE:
            return _ask(context, task, requests.MOVER_SYNC, atomics.load(task + POOL), -1)
        is_kept = kind == FILE and _fact(context, params, PERSISTENCE) == LONG_TERM
        return _ask(context, task, requests.SYNC, _descriptor(context, atomics.load(task + POOL)), -1) if is_kept else 0
    atomics.store(context + own.IN_FLIGHT, atomics.load(context + own.IN_FLIGHT) - 1)
    if child_code(task) != 0:
        return child_code(task)
    if child_value(task, 0) < 0:
        task_value(task, 0, -child_value(task, 0))
        return IO_FAILED
    return 0


@kernel
def _change(context, task, params, step):
    """Have the process's device change its members: a path of `a1` bytes at the segment's byte `a0`, a member's number. Results: of the method.

    While members are added or removed nobody leases what lies behind all that is leased.
    """
    base, method = atomics.load(context + own.BASE), atomics.load(task + METHOD)
    place, nbytes, number = atomics.load(task + ARGS), atomics.load(task + ARGS + 8), atomics.load(task + ARGS + 16)
    extents, resizes = base + atomics.load(params + EXTENTS), method == ADD_BDEV or method == REMOVE_BDEV
    if step == 0:
        if not (0 <= nbytes <= _TEXT_NBYTES and 0 <= place <= atomics.load(context + own.NBYTES) - nbytes):
            return OUT_OF_BOUNDS
        address = base + place
        if method == REMOVE_BDEV:
            nbytes = number         # where what is free begins comes in the place of the number
        if resizes:
            number = extents_take_tail(extents)
            keep(task, 0, number)
        code = _ask_for(context, task, requests.MOVER_ACT, atomics.load(task + POOL), method, address, nbytes, number)
        if code == RETRY and resizes:
            extents_resize(extents, number, atomics.load(params + CAPACITY))
        return code
    atomics.store(context + own.IN_FLIGHT, atomics.load(context + own.IN_FLIGHT) - 1)
    code = child_code(task)
    if resizes:
        capacity = child_value(task, 0) if code == 0 and child_value(task, 0) > 0 else atomics.load(params + CAPACITY)
        extents_resize(extents, kept(task, 0), capacity)
        atomics.store(params + CAPACITY, capacity)
    for value in range(4):
        task_value(task, value, child_value(task, value))
    return code


@kernel
def _fact(context, params, word):
    return atomics.load(atomics.load(context + own.BASE) + atomics.load(params + EXTENTS) - FACTS_NBYTES + word)


@kernel
def _descriptor(context, place):
    return atomics.load(atomics.load(context + own.FDS) + 8 * place)
