"""When a periodic task is due: on a grid that load doesn't move."""

from wrp.comm.jit import kernel


@kernel
def period_missed(due, period, now):
    """How many dues after `due` have passed by `now` (all in ns): they are counted, not made up for."""
    return max(0, (now - due) // period)


@kernel
def period_next(due, period, now):
    """The next due after `due` that lies in the future of `now`: a whole number of periods on."""
    return due + (period_missed(due, period, now) + 1) * period
