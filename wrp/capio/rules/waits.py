"""The waiters of a running workflow: who wants what, found by waiter, path, step and process. Decides nothing."""

from dataclasses import dataclass

OPEN, STAT, BYTES, ENTRIES = "open", "stat", "bytes", "entries"


@dataclass(frozen=True, slots=True)
class Wait:
    """One call that waits. `what`: open, stat, bytes or entries; `upto`: the byte or entry wanted; `since`: when it came."""

    waiter: int | str
    step: str
    path: str
    what: str
    upto: int
    process: int | str | None
    node: int
    threads: int
    since: float
    found: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A wait as it is shown. `on`: the steps that can end it."""

    waiter: int | str
    step: str
    process: int | str | None
    node: int
    path: str
    what: str
    since: float
    on: tuple
    sentence: str


class Waits:
    """All waits, oldest first."""

    def __init__(self):
        self._all = {}
        self._by_path = {}

    def add(self, wait):
        """Keep a wait; one of the same waiter, which can't have been answered, is forgotten."""
        self.drop(wait.waiter)
        self._all[wait.waiter] = wait
        self._by_path.setdefault(wait.path, {})[wait.waiter] = wait

    def drop(self, waiter):
        """Forget a waiter; the Wait, or None."""
        wait = self._all.pop(waiter, None)
        if wait is not None:
            same = self._by_path[wait.path]
            del same[waiter]
            if not same:
                del self._by_path[wait.path]
        return wait

    @property
    def oldest(self):
        """Since when the first of them waits, or None."""
        first = next(iter(self._all.values()), None)
        return first.since if first else None

    def of_path(self, path):
        """Waits for one path."""
        return list(self._by_path[path].values()) if path in self._by_path else []

    def of_process(self, process):
        """Waits of one process."""
        return [wait for wait in self._all.values() if wait.process == process]

    def of_step(self, step):
        """Waits of one step."""
        return [wait for wait in self._all.values() if wait.step == step]

    def paths(self):
        """All paths that are waited for."""
        return list(self._by_path)

    def __contains__(self, waiter):
        return waiter in self._all

    def __iter__(self):
        return iter(list(self._all.values()))

    def __len__(self):
        return len(self._all)
