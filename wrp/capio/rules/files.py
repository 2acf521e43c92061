"""The files of a running workflow: what is known of each, and the moment when its commit rule is fulfilled. Knows no waiters."""

from dataclasses import dataclass

from wrp.capio.language.plan import ON_CLOSE, ON_FILE, ON_N_FILES


@dataclass(frozen=True, slots=True)
class FileView:
    """A file as it is now. `writers`: open file descriptions that write to it; `failed`: why it can't be committed any more, or ""."""

    path: str
    size: int
    is_born: bool
    is_directory: bool
    is_committed: bool
    closes: int
    writers: int
    home: int
    failed: str


class FileState:
    """One file or directory under one name, through one life: from its birth in this run to its removal.

    `wrote`: the steps that created it or opened it for writing; `is_ours`: the run created it; `is_removed`: it was committed, then
    removed, so nobody waits for it; `copies`: {node: bytes there}; `lost`: {node: why its copy can't come}; `asked`: nodes told to fetch.
    """

    __slots__ = ("path", "plan", "is_directory", "is_born", "is_ours", "is_removed", "is_committed", "size", "closes", "writers", "wrote",
                 "home", "entries", "copies", "lost", "asked")

    def __init__(self, path, plan):
        self.path, self.plan, self.is_directory = path, plan, plan.is_directory
        self.is_born = self.is_ours = self.is_removed = self.is_committed = False
        self.size = self.closes = self.home = 0
        self.writers, self.wrote, self.entries = set(), set(), set()
        self.copies, self.lost, self.asked = {}, {}, set()

    @property
    def is_declared(self):
        """True if some step makes or reads it by declaration."""
        return not self.plan.excluded and bool(self.plan.producers or self.plan.consumers)

    @property
    def extent(self):
        """Bytes, or entries of a directory."""
        return len(self.entries) if self.is_directory else self.size

    def extent_on(self, node):
        """Bytes that can be read on a node. A directory is the same everywhere."""
        return self.extent if self.is_directory or node == self.home else self.copies.get(node, 0)

    def is_on(self, node):
        """True if something of it, be it nothing yet, is on the node."""
        return self.is_directory or node == self.home or node in self.copies

    def is_whole_on(self, node):
        """True if all that there is of it is on the node."""
        return self.is_on(node) and (self.is_directory or self.extent_on(node) >= self.size)

    def be_born(self, node, is_new=False):
        """It exists in this run. A file that had been committed and removed begins a new life."""
        if self.is_removed:
            self.is_removed = self.is_committed = False
            self.closes = 0
        if not self.is_born:
            self.is_born, self.home = True, node
        self.is_ours |= is_new

    def is_due(self, steps, committed):
        """True if its commit rule is fulfilled. `steps(name)`: StepState; `committed(path)`: whether that file is committed."""
        rule = self.plan.commit
        if not self.is_born:
            return False
        if rule == ON_CLOSE:
            return self.closes >= self.plan.closes
        if rule == ON_N_FILES:
            return len(self.entries) >= self.plan.n_files
        if rule == ON_FILE:
            return all(committed(path) for path in self.plan.deps)
        return bool(self.plan.producers) and all(
            steps(name).is_over and not (steps(name).has_failed and self.is_touched_by(name)) for name in self.plan.producers)

    def is_touched_by(self, name):
        """True if a bad end of this step spoils it: a directory is in the hands of all its producers."""
        return self.is_directory or name in self.wrote

    def view(self, failed):
        """A FileView."""
        return FileView(self.path, self.extent, self.is_born, self.is_directory, self.is_committed, self.closes, len(self.writers), self.home, failed)
