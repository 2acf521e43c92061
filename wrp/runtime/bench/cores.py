"""Cores: every rank of a measurement on cores of its own, so that a ratio doesn't say on how many of them the scheduler has put two ranks."""

import contextlib
import os


@contextlib.contextmanager
def apart(ranks):
    """Meanwhile each rank has its share of the cores of its machine; gives whether that is so. Threads that begin meanwhile share it. Collective.

    Nothing is changed where the launcher has bound the ranks already, or where there are more of them than cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    here = [rank for rank, place in enumerate(ranks.gather((ranks.host, cores), "which cores the ranks may use")) if place == (ranks.host, cores)]
    share = len(cores) // len(here)
    first = here.index(ranks.rank) * share
    is_apart = all(ranks.gather(share > 0 and len(here) > 1, "whether there are cores enough"))
    if is_apart:
        os.sched_setaffinity(0, cores[first:first + share])
    try:
        yield is_apart
    finally:
        os.sched_setaffinity(0, cores)
