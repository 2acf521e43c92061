"""The steps of a running workflow: their parts, their processes, and how they ended. Knows no files."""

import signal as signals
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ending:
    """How a part or a process ended: an exit code, a signal, or nobody knows (both None)."""

    code: int | None = None
    signal: int | None = None

    @property
    def is_good(self):
        """True for exit code 0."""
        return self.code == 0 and self.signal is None

    def __str__(self):
        if self.signal is not None:
            return f"was killed by {_name(self.signal)}"
        return f"ended with exit code {self.code}" if self.code is not None else "vanished"


@dataclass(frozen=True, slots=True)
class StepView:
    """A step as it is now. `state`: "not started", "running" or "ended"; `waited_s`: seconds of all its waits that have been answered."""

    name: str
    state: str
    processes: tuple
    ending: Ending | None
    waited_s: float


class StepState:
    """One step. It has ended when all parts that a launcher began have, and none of its processes is left."""

    __slots__ = ("name", "parts", "parts_started", "parts_ended", "processes", "ending", "is_over", "waited_s", "is_stalled")

    def __init__(self, name):
        self.name, self.waited_s = name, 0.0
        self.processes = {}             # process -> its parent
        self.parts = self.parts_started = self.parts_ended = 0
        self.ending, self.is_over, self.is_stalled = None, False, False

    def start(self, parts):
        """A launcher begins a part of `parts`. After the end of the step it begins anew."""
        if self.is_over:
            self.parts = self.parts_started = self.parts_ended = 0
            self.ending, self.is_over = None, False
        self.parts_started += 1
        self.parts = max(self.parts, parts, self.parts_started)

    def end(self, ending):
        """A launcher's part has ended; True if that ends the step."""
        self.parts_ended += 1
        self.parts = max(self.parts, self.parts_ended)
        if self.ending is None or self.ending.is_good:
            self.ending = ending
        return self._is_over_now()

    def join(self, process, parent):
        """A process has joined. One that comes after the end makes the step run again."""
        if self.is_over and not self.parts:
            self.ending = None
        self.is_over = False
        self.processes[process] = parent

    def leave(self, process, ending):
        """A process has left; True if that ends the step. Without a launcher the endings of those that no other process began count."""
        parent = self.processes.pop(process, None)
        if not self.parts and parent is None and (self.ending is None or self.ending.is_good):
            self.ending = ending
        return self._is_over_now()

    def _is_over_now(self):
        was, self.is_over = self.is_over, not self.processes and self.parts_ended >= self.parts
        return self.is_over and not was

    @property
    def has_started(self):
        """True once a part or a process was told of."""
        return bool(self.parts or self.processes or self.is_over)

    @property
    def has_failed(self):
        """True if it has ended, and not well."""
        return self.is_over and not self.ending.is_good

    def view(self):
        """A StepView."""
        state = "ended" if self.is_over else "running" if self.has_started else "not started"
        return StepView(self.name, state, tuple(self.processes), self.ending, self.waited_s)


def _name(number):
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
