"""Asking: a task from its submission to its results, and waits in which the caller does another's work itself. Makes no pools.

A *driver* is two words in memory of the process: the address of a kernel that makes one turn for its postman and gives 0 when
another thread is at it, and of what it works on; a third one is the address of the postman's lane, a fourth that of a kernel that tells other nodes of a
participant of a meeting (see `meeting.rooms`) and gives 1, else 0. 0 instead of a driver's address:
somebody else does the work.

A *doer*, words of the process too, does the task itself where it can: the address of a kernel that does, and gives 1 then, and what that one needs (see
`inline`). 0 instead of its address: the task is its worker's.
"""

import numpy as np

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import lanes, tasks
from wrp.runtime.calling import call_handler

# Byte offsets in a driver
TURN, OF, LANE, TELL = 0, 8, 16, 24
DRIVER_WORDS = 4
# and in a doer. SHORTS: which methods are short, a word of bits for each pool
DO, CONTEXT, SHORTS = 0, 8, 16
FRUITLESS = 8               # turns before others may have the core: a switch, even to nobody, takes as long as two of them

# Byte offsets in a way: addresses of the segment, of its free records and of the lane; the pool's number; ns to spin; the driver's and the doer's address or 0
BASE, FREE, TO, POOL, SPIN, DRIVER, DOER = (8 * number for number in range(7))
DONE, OPEN, NO_ROOM = 0, 1, 2
SPIN_LEAST_NS = 1000
_SPIN_MORE = 8              # times as long at most, where that spares a sleep


def way_of(pool, driver):
    """The words of a Pool's way, an array that lives as long as somebody uses it."""
    node = pool._node
    return np.array([node.address, pool._free, pool._lane, pool.number, max(node.spin_ns, SPIN_LEAST_NS), driver, pool._doer], np.int64)


@kernel
def drive(driver, light):
    """One turn: 0 when nothing was done, or another thread is at it. `light`, what the clock said a moment ago (ns): a look for what meetings wait for,
    no more; 0: for everything."""
    return call_handler(atomics.load(driver + TURN), atomics.load(driver + OF), light, 0, 0)


@kernel
def hand_over(place, pool, method, count, args):
    """As `tasks.task_submit`, but the doer does what it can, and the postman of a driver isn't woken: `await_task` has to follow. `place`: addresses of
    the segment, its free records, the lane, the driver, the doer."""
    base, free, lane, driver, doer = place
    offset = tasks.task_new(base, free, tasks.SUBMITTED, pool, method, count, args[0], args[1], args[2], args[3], args[4], args[5])
    if offset < 0:
        return offset
    if doer != 0 and call_handler(atomics.load(doer + DO), doer, offset, lane, method) == 1:
        return offset
    if lanes.lane_push(lane, offset) if driver == 0 else lanes.lane_push_quiet(lane, offset):
        return offset
    tasks.task_free(base, free, offset)
    return tasks.LANE_FULL


@kernel
def await_task(task, driver, spin_ns, slice_us):
    """As `tasks.task_wait`: True when the task is done, after `spin_ns` and then at most one sleep of `slice_us`."""
    if driver == 0:
        return tasks.task_wait(task, spin_ns, slice_us)
    until, fruitless = atomics.now_ns() + spin_ns, 0
    while atomics.load(task + tasks.STATE) != tasks.DONE:
        fruitless = 0 if drive(driver, 0) != 0 else fruitless + 1
        if atomics.now_ns() >= until:
            break
        if fruitless == FRUITLESS:
            atomics.yield_core()            # another node may need this core
            fruitless = 0
    if atomics.load(task + tasks.STATE) == tasks.DONE:
        return True
    lanes.lane_wake(atomics.load(driver + LANE))        # from now on it is the postman's work
    return tasks.task_wait(task, 0, slice_us)


@kernel
def spin_next(spin_ns, least_ns, took_ns):
    """How long to spin for the next task, after one that took so long: twice that, where it isn't much, else ever less down to `least_ns`.

    A sleep and its end cost as much as writing a quarter of a MiB: who writes 1 MiB after the other, in a little more than `least_ns` each, had better spin.
    """
    wanted = 2 * took_ns if took_ns <= _SPIN_MORE * least_ns else 0
    return max(least_ns, wanted, spin_ns - spin_ns // 8)


@kernel
def ask(way, method, count, a0, a1, a2, a3, a4, a5):
    """Submit a task and spin for its end: (DONE, its code, its results), (OPEN, its record's offset, -) or (NO_ROOM, what refused it, -).
    `way`: address of its words."""
    base, free, driver = atomics.load(way + BASE), atomics.load(way + FREE), atomics.load(way + DRIVER)
    offset = hand_over((base, free, atomics.load(way + TO), driver, atomics.load(way + DOER)), atomics.load(way + POOL), method, count, (a0, a1, a2, a3, a4, a5))
    if offset < 0:
        return NO_ROOM, offset, (0, 0, 0, 0)
    if not await_task(base + offset, driver, atomics.load(way + SPIN), 0):
        return OPEN, offset, (0, 0, 0, 0)
    code, v0, v1, v2, v3 = tasks.task_result(base + offset)
    tasks.task_free(base, free, offset)
    return DONE, code, (v0, v1, v2, v3)
