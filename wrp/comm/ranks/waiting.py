"""Waiting for requests of MPI: polls with growing naps, a deadline, and a sentence that says who waits for whom."""

import os
import time

from wrp.comm.ranks.board import Watch
from wrp.errors import WaitTimeout, WrpError

_EAGER_TESTS = 50
_FIRST_NAP_S = 20e-6
_LONGEST_NAP_S = 2e-3
_EACH_NAP_S = 1e-4    # the longest one for each rank of the node: together they look no oftener, however many they are
_GRACE_S = 1.0          # what a rank sent before it ended may still be on its way


class Naps:
    """Growing pauses of a polling loop: other ranks may need this core."""

    def __init__(self, board=None):
        self._count = 0
        self._nap_s = _FIRST_NAP_S
        self._longest_s = _LONGEST_NAP_S if board is None else min(_LONGEST_NAP_S, _EACH_NAP_S * len(board.cells))

    def pause(self):
        self._count += 1
        if self._count <= _EAGER_TESTS:
            os.sched_yield()
            time.sleep(0)
            return
        time.sleep(self._nap_s)
        self._nap_s = min(self._nap_s * 1.25, self._longest_s)


def poll(test, is_lost, timeout_s, board=None):
    """Call `test` until it is true; returns None then.

    `is_lost()` is asked five times a second and gives a sentence when waiting on makes no sense; returns that sentence,
    or "" at the deadline. The deadline starts again when other ranks get on.
    """
    watch, naps, lost, give_up_at = Watch(board, timeout_s), Naps(board), None, None
    while not test():
        naps.pause()
        if not watch.is_due():
            continue
        lost = is_lost()
        if lost is None:
            give_up_at = None
        elif give_up_at is None:
            give_up_at = time.monotonic() + min(_GRACE_S, timeout_s)
        elif time.monotonic() >= give_up_at:
            return lost
        if watch.is_over():
            return lost or ""
    return None


def wait(request, ranks, step):
    """Wait for one request of a collective step of `ranks`. Raises WaitTimeout and marks the group broken."""
    def test():
        try:
            return request.Test()
        except WrpError:                    # of a signal's handler
            raise
        except RuntimeError as error:       # MPI's own: messages of two different steps have met
            return ranks.give_up(request, f"rank {ranks.world_rank} on {ranks.host} is in '{step.what}', and another rank took a different step "
                                 f"({error}); every rank must take the same steps")

    try:
        if test():
            return
        started = time.monotonic()
        lost = poll(test, lambda: _lost(ranks, step), ranks.timeout_s, ranks.board)
    except BaseException:                   # a handler's of a signal: MPI may still write to what the request has
        ranks.keep(request)
        raise
    if lost is None:
        return
    waited_s = time.monotonic() - started
    ranks.give_up(request, f"rank {ranks.world_rank} on {ranks.host} waited {waited_s:.3g} s in '{step.what}'; "
                  + (lost or _absent(ranks, step)))


def linger(ranks):
    """Serve the ranks of this node that rely on it: until there is none whose process is there, or for `timeout_s` in which none gets on."""
    watch, naps = Watch(ranks.board, ranks.timeout_s), Naps(ranks.board)
    while ranks.board.is_relied_on(watch.is_due()) and not watch.is_over():
        ranks.progress()
        naps.pause()


def broken(ranks, what):
    """The error of a step that can't begin because an earlier one failed."""
    return WaitTimeout(f"'{what}' can't begin on rank {ranks.world_rank}, because an earlier wait failed: {ranks.broken}")


def _lost(ranks, step):
    if ranks.pulse is not None:
        ranks.pulse.listen()
    if ranks.board is None:
        return None
    rank = ranks.board.dead(ranks.world_ranks, step.group, step.number)
    return None if rank is None else f"the process of {ranks.board.describe(rank)} has ended: see its own message, and start the job again"


def _absent(ranks, step):
    if ranks.board is None:
        return "not every rank of the job has made its first call of wrp: every one must"
    missing = ranks.board.missing(ranks.world_ranks, step.group, step.number)
    unseen = ranks.board.unseen(ranks.world_ranks)
    cure = "; every rank must take the same steps; a longer deadline is set by WRP_TIMEOUT_S"
    if missing:
        return "not there: " + ", ".join(map(ranks.board.describe, missing[:8])) + cure
    if unseen:
        return f"all ranks of this node are there; missing is one of the ranks {_short(unseen)} on other nodes" + cure
    return "every rank has come to it, but MPI doesn't end it" + cure


def _short(ranks):
    return ", ".join(map(str, ranks[:8])) + (", ..." if len(ranks) > 8 else "")
