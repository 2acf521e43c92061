"""Steps that only wait, seen from outside through /proc: each process for our answer, for a child that waits, or on a pipe among them. Ends nothing."""

import os
import stat

from wrp.capio.server import endings
from wrp.capio.server.people import pid_of

FIRST_S, MOST_S = 1.0, 10.0     # how old a wait is when its step is looked at first, and how often at most after that
_CHILDREN = "do_wait"
_PIPES = {"pipe_read": os.O_RDONLY, "anon_pipe_read": os.O_RDONLY, "pipe_write": os.O_WRONLY, "anon_pipe_write": os.O_WRONLY}


class Stalls:
    """What the same look gave twice hasn't moved in between: only then a step is called stalled."""

    def __init__(self):
        self._before, self.next_look = {}, None

    def plan(self, oldest):
        """Set when to look next: `oldest` is since when somebody waits, None: nobody does."""
        if oldest is None:
            self._before, self.next_look = {}, None
        elif self.next_look is None:
            self.next_look = oldest + FIRST_S

    def look(self, roots, launchers, waits, at):
        """Names of the steps that are stalled. roots: {step: pids whose descendants, they included, are its processes}; launchers:
        [(step, pid)] whose descendants are, without themselves; waits: [Waiting]; at: now."""
        oldest = min((wait.since for wait in waits), default=at)
        self.next_look = at + min(max(FIRST_S, (at - oldest) / 4), MOST_S)
        seen, children = {}, _children()
        for step, pid in launchers:
            roots.setdefault(step, []).extend(children.get(pid, ()))
        for step, pids in roots.items():
            asked = [pid_of(wait.process) for wait in waits if wait.step == step and wait.process is not None]
            found = _sleep(_family(pids, children), asked) if asked else None
            if found is not None:
                seen[step] = found
        same = sorted(step for step, found in seen.items() if self._before.get(step) == found)
        self._before = seen
        return same


def _children():
    """{pid: its children}, of all processes."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            found.setdefault(endings.parent(int(name)), []).append(int(name))
    return found


def _family(pids, children):
    found, to_see = set(), list(pids)
    while to_see:
        pid = to_see.pop()
        if pid not in found:
            found.add(pid)
            to_see += children.get(pid, ())
    return found


def _sleep(pids, asked):
    """What all threads of these processes sleep in, and how often each has slept; None when one does anything else. asked: the pid of each wait."""
    found, pipes = [], []
    for pid in sorted(pids):
        left = asked.count(pid)
        for thread, where, switches in _threads(pid):
            if where in _PIPES:
                pipes.append((pid, _PIPES[where]))
            elif where != _CHILDREN:
                left -= 1           # it must be one of those that wait for us
            if left < 0 or not where:
                return None
            found.append((thread, where, switches))
    return found if all(_is_theirs(pid, mode, pids) for pid, mode in pipes) else None


def _threads(pid):
    """[(thread, the kernel's name of where it sleeps, "" while it runs, its count of switches)]; nothing of a process that has ended."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/wchan", encoding="ascii") as file:
                where = file.read().strip()
            with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii", errors="replace") as file:
                status = dict(line.strip("\n").split(":\t", 1) for line in file if ":\t" in line)
            if status["State"][0] not in "ZX":
                found.append((int(thread), "" if where == "0" else where, (status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"])))
    except (OSError, KeyError):
        pass
    return found


def _is_theirs(pid, mode, pids):
    """True if nobody but these processes holds the pipes that a process reads (or writes, by `mode`)."""
    wanted = _pipes(pid, mode)
    return wanted and "" not in wanted and not any(wanted & _pipes(int(name)) for name in os.listdir("/proc") if name.isdigit() and int(name) not in pids)


def _pipes(pid, mode=None):
    """Names of the pipes that a process has open; "" for one that anybody may open by its path."""
    found = set()
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return found                # another user's, or gone
    for fd in descriptors:
        try:
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            if stat.S_ISFIFO(os.stat(f"/proc/{pid}/fd/{fd}").st_mode) and (mode is None or _mode(pid, fd) == mode):
                found.add(link if link.startswith("pipe:") else "")
        except OSError:
            pass                    # closed meanwhile
    return found


def _mode(pid, fd):
    with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
        return next(int(line.split()[1], 8) & os.O_ACCMODE for line in file if line.startswith("flags:"))
