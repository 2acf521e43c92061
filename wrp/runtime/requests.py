"""Requests to a process's I/O threads: the queue, and the loop that serves it. Decides nothing about devices.

A request is a task record that the worker expects (see `handlers.expect`): its arguments say what to do, and finishing it wakes
the worker. The queue lies in memory of the process.
"""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.ring import Ring, ring_count, ring_pop, ring_push
from wrp.runtime.tasks import ARGS, task_finish, task_value

READ, WRITE, SYNC, MOVER_READ, MOVER_WRITE, MOVER_SYNC, MOVER_ACT = range(1, 8)     # from MOVER_READ on: in Python, see `iothreads.IoThreads.movers`

# Byte offsets of the queue
STOP = 0            # 1: the threads end when it is empty
BELL = 8            # requests ever pushed; a futex
SLEEPERS = 16       # threads that sleep, or are about to
RING = 64
CAPACITY = 1024
NBYTES = RING + Ring.nbytes(CAPACITY)

# why the loop returned
ENDED, MORE, PYTHON = 0, 1, 2       # MORE: another thread has work to do, PYTHON: this request isn't a kernel's

# Arguments of a request: what, descriptor, descriptor to fall back to, address, bytes, place
_FD, _OTHER, _ADDRESS, _COUNT, _PLACE = (ARGS + 8 * number for number in range(1, 6))
_SLICE_US = 500_000
_EINVAL = 22


@kernel
def has_room(queue):
    """True when a request may be pushed; one thread pushes."""
    return ring_count(queue + RING) < CAPACITY - 1


@kernel
def fill(task, what, fd, other, address, nbytes, place):
    """Write the request into the record at `task` (an address)."""
    for offset, word in ((ARGS, what), (_FD, fd), (_OTHER, other), (_ADDRESS, address), (_COUNT, nbytes), (_PLACE, place)):
        atomics.store(task + offset, word)


@kernel
def push(queue, offset):
    """Hand over the record at `offset` of the segment and wake a thread."""
    ring_push(queue + RING, offset)
    atomics.add(queue + BELL, 1)            # a full barrier: a thread that counts itself after this sees another bell
    if atomics.load(queue + SLEEPERS) > 0:
        atomics.futex_wake(queue + BELL, 1)


@kernel
def stop(queue):
    """Tell all threads to end."""
    atomics.store(queue + STOP, 1)
    atomics.add(queue + BELL, 1)
    atomics.futex_wake(queue + BELL, 1 << 30)


@kernel
def serve(base, free, queue):
    """Serve requests: (ENDED, 0), (MORE, 0), or (PYTHON, offset of the request), whose caller finishes it."""
    while True:
        offset = ring_pop(queue + RING)
        if offset < 0:
            if atomics.load(queue + STOP):
                return ENDED, 0
            _sleep(queue)
            continue
        if atomics.load(base + offset + ARGS) >= MOVER_READ:
            return PYTHON, offset
        task_value(base + offset, 0, _moved(base + offset))
        task_finish(base, free, offset, 0)
        if ring_count(queue + RING) > 0 and atomics.load(queue + SLEEPERS) == 0:
            return MORE, 0


@kernel
def _sleep(queue):
    seen = atomics.load(queue + BELL)
    atomics.add(queue + SLEEPERS, 1)
    if ring_count(queue + RING) == 0 and atomics.load(queue + STOP) == 0:
        atomics.futex_wait(queue + BELL, seen, _SLICE_US)
    atomics.add(queue + SLEEPERS, -1)


@kernel
def _moved(task):
    """Bytes moved, or a negative errno."""
    what, fd, other = atomics.load(task + ARGS), atomics.load(task + _FD), atomics.load(task + _OTHER)
    address, nbytes, place = atomics.load(task + _ADDRESS), atomics.load(task + _COUNT), atomics.load(task + _PLACE)
    if what == SYNC:
        return atomics.fdatasync(fd)
    moved = atomics.pwrite(fd, address, nbytes, place) if what == WRITE else atomics.pread(fd, address, nbytes, place)
    if moved == -_EINVAL and fd != other:   # the storage wants another alignment than was said
        moved = atomics.pwrite(other, address, nbytes, place) if what == WRITE else atomics.pread(other, address, nbytes, place)
    return moved
