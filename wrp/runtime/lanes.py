"""Lanes: one worker's bounded queue of tasks in the segment, with what others see of the worker. Knows no task's content.

A lane may also be fed by the queues of attached processes (see queues.py), which its worker sweeps when their bell rings.
"""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.ring import Ring, ring_count, ring_pop, ring_push, ring_pushed
from wrp.runtime.queues import queues_ringing, queues_take

# Byte offsets. What submitters write and what the worker writes have cache lines of their own.
PID = 0             # process of the worker
STOP = 8            # 1: the worker shall end when its ring is empty
ENDED = 16          # 1: it has ended
RANK = 24           # rank of the worker in the job
QUEUES = 32         # address of what queues.py knows of the lane's queues of attached processes, relative to the lane; 0: none
FINISHED = 64       # stack of subtasks that are done, whose waiters this worker serves (offset of the first, 0: none)
ASLEEP = 128        # futex: 1 while the worker sleeps, or is about to
NEWS = 136          # 1: somebody else has run a task of this worker and left it something to do
DONE = 192          # tasks ever finished, and words about tasks
WAKEUPS = 200       # times it woke from sleep
TURN = 208          # odd: it looks into the queues of attached processes first
TAKEN = 216         # tasks ever taken from the queues of attached processes
HELD = 256          # process of who runs tasks of this worker, or looks at what is its own, 0: nobody: see `wrp.runtime.inline`
RING = 320

SLICE_US = 50_000   # a sleeper looks about itself this often
_PAUSES = 64        # between two looks at the clock
_YIELDS, _NAPS, _NAP_US = 1000, 2000, 100
_SLEEP_US = 500_000 # of a worker with nothing to do: who pushes wakes it


def nbytes_of(depth):
    """Bytes of a lane for `depth` waiting tasks."""
    return -(-(RING + Ring.nbytes(depth)) // 64) * 64


@kernel
def lane_push(lane, value):
    """Hand a task to the lane's worker and wake it; False if the ring is full."""
    if not lane_push_quiet(lane, value):
        return False
    lane_wake(lane)
    return True


@kernel
def lane_push_quiet(lane, value):
    """Hand over a task without waking the worker: `lane_wake` has to follow. False if the ring is full."""
    return ring_push(lane + RING, value)


@kernel
def lane_wake(lane):
    """Wake the worker if it sleeps."""
    # the exchange is a full barrier: what was pushed is there before we look whether the worker sleeps
    if atomics.exchange(lane + ASLEEP, 0) == 1:
        atomics.futex_wake(lane + ASLEEP, 1)


@kernel
def lane_poll(lane):
    """The next task of the ring or of an attached process, by turns; -1 when there is none."""
    queues = atomics.load(lane + QUEUES)
    if queues == 0:
        return ring_pop(lane + RING)
    turn = atomics.load(lane + TURN)
    atomics.store(lane + TURN, 1 - turn)
    value = ring_pop(lane + RING) if turn == 0 else -1
    if value < 0:
        value = queues_take(lane + queues)
        if value >= 0:
            atomics.store(lane + TAKEN, atomics.load(lane + TAKEN) + 1)     # its client may die at any moment
        elif turn == 1:
            value = ring_pop(lane + RING)
    return value


@kernel
def lane_next(lane, spin_ns, due_ns):
    """The next task, or -1 after `lane_rest`."""
    value = lane_poll(lane)
    if value < 0:
        lane_rest(lane, spin_ns, due_ns)
        value = lane_poll(lane)
    return value


@kernel
def lane_rest(lane, spin_ns, due_ns):
    """Spin `spin_ns`, then sleep once, until there is something for the worker, or it is `due_ns` (ns of the monotonic clock, 0:
    never). Takes nothing. True when it slept."""
    until = atomics.now_ns() + spin_ns
    if due_ns > 0:
        until = min(until, due_ns)
    while atomics.now_ns() < until:
        for _ in range(_PAUSES):
            if lane_has(lane):
                return False
            atomics.pause()
        atomics.yield_core()                # the submitter may need this core
    # say that we sleep, then look once more: who pushes after this look wakes us
    atomics.exchange(lane + ASLEEP, 1)
    sleep_us = _SLEEP_US
    if due_ns > 0:
        sleep_us = min(sleep_us, (due_ns - atomics.now_ns()) // 1000 + 1)
    sleeps = sleep_us > 0 and not lane_has(lane) and atomics.load(lane + STOP) == 0
    if sleeps:
        atomics.futex_wait(lane + ASLEEP, 1, sleep_us)
        atomics.add(lane + WAKEUPS, 1)
    atomics.store(lane + ASLEEP, 0)
    return sleeps


@kernel
def lane_has(lane):
    """True when there is something for the worker: a task, a subtask that is done, or news."""
    if ring_count(lane + RING) > 0 or atomics.load(lane + FINISHED) != 0 or atomics.load(lane + NEWS) != 0:
        return True
    queues = atomics.load(lane + QUEUES)
    return queues != 0 and queues_ringing(lane + queues)


@kernel
def lane_waiting(lane):
    """Tasks in the ring."""
    return ring_count(lane + RING)


@kernel
def lane_idle(lane):
    """True if every task ever pushed is done."""
    queues = atomics.load(lane + QUEUES)
    if queues != 0 and queues_ringing(lane + queues):
        return False
    return lane_unfinished(lane) == 0


@kernel
def lane_unfinished(lane):
    """Tasks that were pushed, or taken from queues, and aren't done."""
    done = atomics.load(lane + DONE)            # first: the others only grow
    return ring_pushed(lane + RING) + atomics.load(lane + TAKEN) - done


@kernel
def lane_done(lane):
    """One more task is done. The lane's worker's alone."""
    atomics.store(lane + DONE, atomics.load(lane + DONE) + 1)


@kernel
def lane_hold(lane, pid):
    """Be the one who runs tasks of the lane's worker; others are for a moment only. False when one has been for so long that he may have died."""
    for turn in range(_YIELDS + _NAPS):
        if lane_try(lane, pid):
            return True
        if turn < _YIELDS:
            atomics.yield_core()            # who holds it may need this core
        else:
            atomics.nap(_NAP_US)
    return False


@kernel
def lane_try(lane, pid):
    """The same, if nobody is now."""
    return atomics.load(lane + HELD) == 0 and atomics.swap(lane + HELD, 0, pid) == 0


@kernel
def lane_give(lane):
    """Let go of it."""
    atomics.store(lane + HELD, 0)


@kernel
def lane_stop(lane):
    """Tell the worker to end."""
    atomics.store(lane + STOP, 1)
    atomics.exchange(lane + ASLEEP, 0)
    atomics.futex_wake(lane + ASLEEP, 1)


def create(segment, offset, depth):
    """Format an empty lane at `offset` of zeroed memory of the segment."""
    Ring.create(segment, offset + RING, depth)
