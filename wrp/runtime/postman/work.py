"""Work: a task on its way, and how it is written in a letter. Pure."""

import time
from typing import NamedTuple

# Kinds of letters among tasks, and among replies
TASK, CANCEL, PING, JOIN, RING, MEET = 1, 2, 3, 4, 5, 6
REPLY, PONG = 1, 2

_FIRST_ARGUMENT = 12


class Work(NamedTuple):
    """`key`: of the pool, the hash of its name; `first`, `count`: containers; `due_ns`: of this node's monotonic clock, 0: never;
    `net_timeout_s`: how long a node may be silent, 0: skip one that is known to be; `join`: (key, window in ns, -1: until all
    nodes have come) of tasks that become one, else None; `origin`: the node where it comes from."""

    key: tuple
    first: int
    count: int
    method: int
    args: tuple
    due_ns: int = 0
    net_timeout_s: float = None
    join: tuple = None
    origin: int = 0

    def letter(self, number):
        """The words of a letter; times are relative, clocks differ."""
        left_ns = max(1, self.due_ns - time.monotonic_ns()) if self.due_ns else 0
        words = (JOIN if self.join else TASK, number, *self.key, self.first, self.count, self.method, len(self.args), left_ns,
                 -1 if self.net_timeout_s is None else int(self.net_timeout_s * 1000), *(self.join or (0, 0)), *self.args)
        return words

    @classmethod
    def read(cls, words, origin):
        """(number, Work) of a letter from node `origin`."""
        kind, number, high, low, first, count, method, given, left_ns, net_ms, join_key, window_ns = words[:_FIRST_ARGUMENT]
        due_ns = time.monotonic_ns() + left_ns if left_ns else 0
        return number, cls((high, low), first, count, method, tuple(words[_FIRST_ARGUMENT:_FIRST_ARGUMENT + given]), due_ns,
                           None if net_ms < 0 else net_ms / 1000, (join_key, window_ns) if kind == JOIN else None, origin)

    @property
    def skips(self):
        """True when silent nodes are left out at once."""
        return self.net_timeout_s == 0
