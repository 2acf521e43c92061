"""Joins: tasks that become one, in the node of their container, wherever they come from. Runs nothing itself.

Contributions are counted by the node that they come from: a second one of the same node replaces nothing and releases nobody.
It stays for the next round where all nodes are awaited.
"""

import logging
import time
from functools import partial

import numpy as np

from wrp.runtime.tasks import ARGUMENTS, CANCELLED, DEADLINE

FAILED = 99
_log = logging.getLogger("wrp.runtime")


def combined(cls, method, rows):
    """The arguments of the one task: what the module's `combine` says, else sums. ValueError, OverflowError for what can't be any."""
    own = getattr(cls, "combine", None)
    args = np.array([*(own(method, rows) if own is not None else map(sum, zip(*rows)))], np.int64)
    if args.ndim != 1 or len(args) > ARGUMENTS:
        raise ValueError(f"{args} can't be the arguments of a task")
    return tuple(args.tolist())


class Joins:
    """`run(work, done)` runs the one task. `node`: the own one's number."""

    def __init__(self, node, run):
        self._node, self._run, self._rounds = node, run, {}

    def start(self, work, slot, cls, done):
        """A contribution; `done(code, values)` with the results of the one task: a Contribution."""
        name = work.key, work.first, work.method, work.join
        each = Contribution(work, done)
        gathering = self._rounds.setdefault(name, _Gathering(slot.containers.nodes, cls))
        gathering.come.append(each)
        if gathering.opened_ns == 0:
            gathering.opened_ns = time.monotonic_ns()
        self._look(name, gathering)
        return each

    @property
    def is_calm(self):
        """True when no task waits for others."""
        return not self._rounds

    @property
    def next_ns(self):
        """When a clock is to be looked at next (ns), 0: never."""
        return min((due for name, gathering in self._rounds.items() for due in gathering.dues(name[-1][1])), default=0)

    def turn(self):
        """Look at clocks: True if something began."""
        began = False
        for name, gathering in list(self._rounds.items()):
            began |= self._look(name, gathering)
        return began

    def _look(self, name, gathering):
        gathering.leave_out()
        taken = gathering.round(name[-1][1])
        if not gathering.come:
            self._rounds.pop(name, None)
        if not taken:
            return False
        first = taken[0].work
        try:
            args = combined(gathering.cls, first.method, [each.work.args for each in taken])
        except BaseException:               # sys.exit of a module ends no worker of others
            _log.exception("%d tasks of method %d can't become one", len(taken), first.method)
            _release(taken, FAILED, ())
            return True
        self._run(first._replace(args=args, join=None, due_ns=0), partial(_release, taken))
        return True


def _release(taken, code, values):
    for each in taken:
        each.end(code, values)


class _Gathering:
    """Contributions of one name that have come. `nodes`: how many are awaited."""

    def __init__(self, nodes, cls):
        self.nodes, self.cls = nodes, cls
        self.come, self.opened_ns = [], 0

    def leave_out(self):
        """Contributions that were cancelled, or whose deadline is over, count no more."""
        now = time.monotonic_ns()
        for each in self.come:
            if each.work.due_ns and now >= each.work.due_ns:
                each.end(DEADLINE, ())
        self.come = [each for each in self.come if not each.is_over]

    def dues(self, window_ns):
        """When something ends (ns): the window, deadlines."""
        return [each.work.due_ns for each in self.come if each.work.due_ns] + ([self.opened_ns + window_ns] if window_ns >= 0 else [])

    def round(self, window_ns):
        """The contributions that become one now, taken out; [] while others are awaited."""
        if window_ns >= 0:
            taken = self.come if self.come and time.monotonic_ns() >= self.opened_ns + window_ns else []
        else:
            firsts = {}
            for each in self.come:
                firsts.setdefault(each.work.origin, each)
            taken = list(firsts.values()) if len(firsts) >= self.nodes else []
        if taken:
            self.come = [each for each in self.come if each not in taken]
            self.opened_ns = time.monotonic_ns() if self.come else 0
        return taken


class Contribution:
    """One task that becomes one with others."""

    def __init__(self, work, done):
        self.work, self._done, self.is_over = work, done, False

    def cancel(self):
        """It counts no more, unless the one task has begun: that one goes on for the others."""
        self.end(CANCELLED, ())

    def end(self, code, values):
        """Its end, once."""
        if not self.is_over:
            self.is_over = True
            self._done(code, values)
