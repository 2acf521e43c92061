"""One worker's meter in the segment: counters, histograms and the ring of its trace. The worker alone writes it, except the switch."""

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.runtime import tasks
from wrp.runtime.meter import histogram
from wrp.runtime.meter.histogram import histogram_add

# Byte offsets
TRACE = 0               # offset of the ring from here while it is switched on, else 0
SLICES = 64             # slices ever put into the ring
TASKS = 72              # tasks finished
WAITS = 88              # steps that ended in a wait
BUSY_NS = 96            # ns in steps that were traced
CANCELLED, OVER_DUE = 104, 112      # tasks cancelled, tasks whose deadline was over
LAST = 120              # when the last step or task ended (ns), with a minus once the worker has nothing to do
HISTOGRAMS = 128
_RING = -(-(HISTOGRAMS + histogram.METHODS * histogram.NBYTES) // 4096) * 4096

# a slice of the trace: 4 words
BEGIN, END, WHAT, TASK = 0, 8, 16, 24       # ns, ns, pool << 32 | method, offset of the task << 1 | 1 when it was done
SLICE = 32
CAPACITY = 1 << 12
RING = _RING
NBYTES = _RING + CAPACITY * SLICE


@kernel
def count(meter, word):
    """Add one to a counter."""
    atomics.store(meter + word, atomics.load(meter + word) + 1)


@kernel
def meter_done(meter, task, offset, code, begin):
    """Count a task that is about to be finished. `begin`: of its last step, see `meter_begin`; 0 of one that ends without a step."""
    count(meter, TASKS)
    if code == tasks.CANCELLED:
        count(meter, CANCELLED)
    elif code == tasks.DEADLINE:
        count(meter, OVER_DUE)
    now, pool, method = atomics.now_ns(), atomics.load(task + tasks.POOL), atomics.load(task + tasks.METHOD)
    took = now - atomics.load(task + tasks.BORN)
    histogram_add(meter + HISTOGRAMS, pool, method, took)
    atomics.store(task + tasks.TOOK, took)
    atomics.store(meter + LAST, now)
    if begin:
        _slice(meter, begin, now, pool, method, offset << 1 | 1)


@kernel
def meter_late(meter, pool, method, offset, took, begin, end):
    """Count a task that was finished at `end`, while the worker ran others: its record may be another's by now."""
    count(meter, TASKS)
    histogram_add(meter + HISTOGRAMS, pool, method, took)
    if begin:
        _slice(meter, begin, end, pool, method, offset << 1 | 1)


@kernel
def meter_begin(meter, born):
    """When a step begins (ns), 0 while nothing is traced. The clock isn't read for it where it follows another one, that is when that ended, or where
    the worker was looking for a task that has just been handed over, at `born` (ns; 0: not so)."""
    if atomics.load(meter + TRACE) == 0:
        return 0
    last = atomics.load(meter + LAST)
    if last > 0:
        return last
    return max(born, -last) if born else atomics.now_ns()


@kernel
def meter_rest(meter):
    """The worker has nothing to do."""
    last = atomics.load(meter + LAST)
    if last > 0:
        atomics.store(meter + LAST, -last)


@kernel
def meter_woke(meter):
    """The worker has slept: its next step begins now at the earliest."""
    if atomics.load(meter + TRACE):
        atomics.store(meter + LAST, atomics.now_ns())


@kernel
def meter_end(meter, begin, pool, method, offset, is_done):
    """Put the step that began at `begin` into the trace, over the oldest one."""
    if begin == 0:
        return
    end = atomics.now_ns()
    atomics.store(meter + LAST, end)
    _slice(meter, begin, end, pool, method, offset << 1 | is_done)


@kernel
def _slice(meter, begin, end, pool, method, word):
    number, ring = atomics.load(meter + SLICES), atomics.load(meter + TRACE)
    atomics.store(meter + BUSY_NS, atomics.load(meter + BUSY_NS) + end - begin)
    if ring:
        slot = meter + ring + number % CAPACITY * SLICE
        atomics.store(slot + BEGIN, 0)              # who reads it now skips it
        atomics.store(slot + END, end)
        atomics.store(slot + WHAT, pool << 32 | method & 0xFFFFFFFF)
        atomics.store(slot + TASK, word)
        atomics.store(slot + BEGIN, begin)
        atomics.store(meter + SLICES, number + 1)
