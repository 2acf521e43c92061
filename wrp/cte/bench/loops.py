"""The jitted loops of the benchmark: gets of blobs in ram, and plain copies of the same bytes, each with its own duration. Starts no threads."""

from wrp.comm.atomics import copy, now_ns
from wrp.comm.jit import kernel
from wrp.cte.direct.getting import direct_get


@kernel
def get_loop(desk, names, lengths, out, durations):
    """Get blobs into the rows of `out` (uint8, d x nbytes) in turn: how many couldn't be got by a kernel.

    desk : as `Direct.desk` says; names : uint8 (n x longest), full names; lengths : int64 (n); durations : int64 (n), filled in ns
    """
    failed = 0
    for number in range(len(lengths)):
        row = out[number % len(out)]
        start = now_ns()
        good = direct_get(desk, names[number].ctypes.data, lengths[number], 0, row.ctypes.data, row.size)
        durations[number] = now_ns() - start
        failed += 0 if good else 1
    return failed


@kernel
def copy_loop(target, source, durations):
    """Copy `source` (uint8) into the rows of `target` (uint8, n x nbytes) in turn."""
    for number in range(len(durations)):
        start = now_ns()
        copy(target[number % len(target)].ctypes.data, source.ctypes.data, source.size)
        durations[number] = now_ns() - start
