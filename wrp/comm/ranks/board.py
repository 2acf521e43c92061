"""Board: what the ranks of one node show each other about where they are. One writer per cell, plain stores."""

import os
import time

import numpy as np

CELL = np.dtype([
    ("pid", np.int64),              # 0: not on the board yet
    ("namespace", np.int64),        # inode of the pid namespace: a pid means nothing in another one
    ("left", np.int64),             # 1: takes no more steps
    ("relies", np.int64),           # things it has for which it needs the others of the node until its end
    ("ticks", np.int64),
    ("heard", np.int64),            # signs of life of other nodes
    ("beat_ns", np.int64),          # when it told the other nodes last, monotonic clock
    ("entered", np.int64, 4),       # number of collective steps begun, per group
    ("step", "S48"),                # the step it is in or was in last
])
_CHECK_S = 0.2
_STOPPED_S = 1.0        # a look that comes so late: nobody has called for that long


class Board:
    """Cells of the ranks that share memory; `world_ranks` are their ranks in the world, in the order of the cells."""

    def __init__(self, buffer, world_ranks, mine):
        self.cells = np.frombuffer(buffer, CELL, count=len(world_ranks))
        self._slots = {rank: slot for slot, rank in enumerate(world_ranks)}
        self._slot = self._slots[mine]
        self._mine = self.cells[self._slot:][:1]
        self._namespace = _pid_namespace()

    def arrive(self):
        """Put this process on the board."""
        cell = self._mine[0]
        cell["namespace"], cell["pid"] = self._namespace, os.getpid()

    def enter(self, group, what):
        """Show that this rank begins the next step of a group; returns the number of the step (from 1)."""
        cell = self._mine[0]
        cell["step"] = what.encode("utf-8", "replace")[:48]
        cell["entered"][group] += 1
        return int(cell["entered"][group])

    def tick(self):
        self._mine["ticks"] += 1

    def leave(self):
        self._mine["left"] = 1

    def rely(self, change):
        self._mine["relies"] += change

    def is_relied_on(self, is_sure=True):
        """True when another rank needs those of this node; not `is_sure`: it may be gone since."""
        return any(cell["relies"] and not (is_sure and self._is_gone(cell)) for slot, cell in enumerate(self.cells) if slot != self._slot)

    def hear(self):
        self._mine["heard"] += 1

    def claim_beat(self, now_s, every_s):
        """True when no rank of this node told the others lately; this one does it then. Two at once do no harm."""
        if now_s * 1e9 - self.cells["beat_ns"].max() < every_s * 0.9e9:
            return False
        self._mine["beat_ns"] = int(now_s * 1e9)
        return True

    def progress(self):
        """A number that changes when any other rank of this node gets on, or another node says so."""
        total = self.cells["heard"].sum() + self.cells["ticks"].sum() + self.cells["entered"].sum()
        return int(total - self._mine["ticks"][0] - self._mine["entered"].sum())

    def missing(self, world_ranks, group, number):
        """Ranks among these that can be seen from here and haven't begun this step."""
        return [rank for rank in world_ranks
                if rank in self._slots and self.cells[self._slots[rank]]["entered"][group] < number]

    def unseen(self, world_ranks):
        """Ranks among these of other nodes."""
        return [rank for rank in world_ranks if rank not in self._slots]

    def dead(self, world_ranks, group, number):
        """First rank among these whose process ended too early, or None."""
        late = set(self.missing(world_ranks, group, number))
        for rank in world_ranks:
            if rank in self._slots:
                cell = self.cells[self._slots[rank]]
                # who left in good order after this step isn't missed
                if cell["left"] and rank not in late:
                    continue
                if cell["left"] or self._is_gone(cell):
                    return rank
        return None

    def has_ended(self):
        """True when a rank of this node takes no more steps or its process is gone."""
        return any(cell["left"] or self._is_gone(cell) for cell in self.cells)

    def describe(self, rank):
        cell = self.cells[self._slots[rank]]
        step = bytes(cell["step"]).decode("utf-8", "replace")
        seen = f"last seen in '{step}'" if step else "in no step yet"
        return f"rank {rank} (pid {cell['pid']}, {seen})"

    def _is_gone(self, cell):
        pid = int(cell["pid"])
        if pid == 0 or cell["namespace"] != self._namespace:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return _is_zombie(pid)


class Watch:
    """When to look at the board, and when a wait has lasted too long without progress of the others."""

    def __init__(self, board, timeout_s):
        self._board = board
        self._timeout_s = timeout_s
        self._seen = board.progress() if board else 0
        self._look_at = time.monotonic() + _CHECK_S
        self._deadline = time.monotonic() + timeout_s

    def is_due(self):
        """True about five times a second."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        if now > self._look_at + _STOPPED_S:    # this process was stopped, as the others may have been: no time to wait for them
            self._deadline += now - self._look_at
        self._look_at = now + _CHECK_S
        return True

    def is_over(self):
        """True when the deadline has passed; progress on the board starts it again."""
        now = time.monotonic()
        seen = self._board.progress() if self._board else 0
        if seen != self._seen:
            self._seen, self._deadline = seen, now + self._timeout_s
        return now >= self._deadline


def _pid_namespace():
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:         # no /proc: all pids are of one namespace then
        return 0


def _is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] == [b"Z"]
    except OSError:         # ended between the two looks, or no /proc: the next look tells
        return False
