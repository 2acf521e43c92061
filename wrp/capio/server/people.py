"""The processes of the workflow's steps on this node: when they come, when they end and how."""

import os
from dataclasses import dataclass

from wrp.capio.rules import events
from wrp.capio.server import endings

_PID_BITS = 22                  # Linux: pids end below 4 Mi


def pid_of(name):
    """The pid of a process that the rules call so."""
    return name & (1 << _PID_BITS) - 1


@dataclass(slots=True)
class Person:
    """A process. `name`: what the rules call it, its pid, or one that nobody had before where the pid is used again."""

    pid: int
    name: int
    step: str
    pidfd: int
    said_goodbye: bool = False


class People:
    """Living processes by pid. `tell` takes events; `poll` is the epoll that hears of their ends."""

    def __init__(self, workflow_name, tell, poll):
        self._workflow_name, self._tell, self._poll = workflow_name, tell, poll
        self._by_pid, self._by_fd, self._uses = {}, {}, {}
        self.launched = {}              # step: parts that launchers have begun and not ended

    def get(self, pid):
        return self._by_pid.get(pid)

    def of_descriptor(self, fd):
        return self._by_fd.get(fd)

    def count(self, step=None):
        return sum(step is None or person.step == step for person in self._by_pid.values())

    def roots(self):
        """{step: [pid]} of those that have shown themselves."""
        found = {}
        for person in self._by_pid.values():
            found.setdefault(person.step, []).append(person.pid)
        return found

    def joins(self, pid, step, at, peer=None):
        """A process of a step has shown itself. One that has ended meanwhile joins only by `peer`, the socket that it spoke by, and leaves soon; else None."""
        known = self._by_pid.get(pid)
        if known is not None:
            return known
        pidfd = endings.descriptor(pid, peer)
        if pidfd is None:
            return None
        uses = self._uses[pid] = self._uses.get(pid, -1) + 1
        person = Person(pid, pid + (uses << _PID_BITS), step, pidfd)
        self._by_pid[pid], self._by_fd[pidfd] = person, person
        self._poll.register(pidfd)
        parent = self._by_pid.get(endings.parent(pid))
        self._tell(events.ProcessJoined(step, person.name, parent.name if parent and parent.step == step else None, at=at))
        return person

    def leaves(self, person, at):
        """The process has ended. Others of its step that haven't shown themselves yet are looked for, so that the step doesn't end early."""
        if self.count(person.step) == 1 and not self.launched.get(person.step):
            for pid in endings.of_step(person.step, self._workflow_name):
                self.joins(pid, person.step, at)
        code, signal = endings.how(person.pid, person.pidfd)
        if code is None and signal is None and person.said_goodbye:
            code = 0                    # the kernel doesn't tell; it ended by itself
        self._poll.unregister(person.pidfd)
        os.close(person.pidfd)
        del self._by_pid[person.pid], self._by_fd[person.pidfd]
        return code, signal

    def close(self):
        for fd in self._by_fd:
            os.close(fd)
        self._by_pid, self._by_fd = {}, {}
