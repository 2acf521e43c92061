"""Lanes: one worker's bounded queue of tasks in the segment, with what others see of the worker. Knows no task's content."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.comm.ring import Ring, ring_count, ring_pop, ring_push

# Byte offsets. What submitters write and what the worker writes have cache lines of their own.
PID = 0             # process of the worker
STOP = 8            # 1: the worker shall end when its ring is empty
ENDED = 16          # 1: it has ended
RANK = 24           # rank of the worker in the job
SUBMITTED = 64      # tasks ever pushed
ASLEEP = 128        # futex: 1 while the worker sleeps, or is about to
DONE = 192          # tasks ever finished
WAKEUPS = 200       # times it woke from sleep
RING = 256

SLICE_US = 50_000   # a sleeper looks about itself this often
_PAUSES = 64        # between two looks at the clock


def nbytes_of(depth):
    """Bytes of a lane for `depth` waiting tasks."""
    return -(-(RING + Ring.nbytes(depth)) // 64) * 64


@kernel
def lane_push(lane, value):
    """Hand a task to the lane's worker and wake it; False if the ring is full."""
    atomics.add(lane + SUBMITTED, 1)
    if not ring_push(lane + RING, value):
        atomics.add(lane + SUBMITTED, -1)
        return False
    # the exchange is a full barrier: the value is in the ring before we look whether the worker sleeps
    if atomics.exchange(lane + ASLEEP, 0) == 1:
        atomics.futex_wake(lane + ASLEEP, 1)
    return True


@kernel
def lane_next(lane, spin_ns):
    """The next task, or -1 after spinning `spin_ns` and one sleep of at most a slice."""
    value = ring_pop(lane + RING)
    if value >= 0:
        return value
    until = atomics.now_ns() + spin_ns
    while atomics.now_ns() < until:
        for _ in range(_PAUSES):
            value = ring_pop(lane + RING)
            if value >= 0:
                return value
            atomics.pause()
        atomics.yield_core()                # the submitter may need this core
    # say that we sleep, then look once more: who pushes after this look wakes us
    atomics.exchange(lane + ASLEEP, 1)
    value = ring_pop(lane + RING)
    if value < 0 and atomics.load(lane + STOP) == 0:
        atomics.futex_wait(lane + ASLEEP, 1, SLICE_US)
        atomics.add(lane + WAKEUPS, 1)
        value = ring_pop(lane + RING)
    atomics.store(lane + ASLEEP, 0)
    return value


@kernel
def lane_waiting(lane):
    """Tasks in the ring."""
    return ring_count(lane + RING)


@kernel
def lane_idle(lane):
    """True if every task ever pushed is done."""
    return atomics.load(lane + DONE) == atomics.load(lane + SUBMITTED)


@kernel
def lane_stop(lane):
    """Tell the worker to end."""
    atomics.store(lane + STOP, 1)
    atomics.exchange(lane + ASLEEP, 0)
    atomics.futex_wake(lane + ASLEEP, 1)


def create(segment, offset, depth):
    """Format an empty lane at `offset` of zeroed memory of the segment."""
    Ring.create(segment, offset + RING, depth)
