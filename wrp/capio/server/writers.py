"""Who has which file open for writing: what programs announce before they open, joined with what the kernel says when they close."""

from dataclasses import dataclass

from wrp.capio.server import endings


@dataclass(slots=True)
class Writer:
    """One open file description. `is_open`: its open is known to have happened; `is_parting`: closed by a process that is ending."""

    description: int
    path: str
    step: str
    pid: int
    is_truncated: bool = False
    is_open: bool = False
    is_parting: bool = False


class Writers:
    """The descriptions of a node, by path."""

    def __init__(self):
        self._by_path, self._last = {}, 0
        self._renamers = {}             # (old path, new path): the step that has said that it renames

    def announce(self, path, step, pid, is_truncated):
        """A process is about to open the path for writing."""
        before = self.waiting(path, pid)
        if before is not None:
            self.drop(before)           # what came of it wasn't told, and it wasn't closed either
        self._last += 1
        writer = Writer(self._last, path, step, pid, is_truncated)
        self._by_path.setdefault(path, []).append(writer)
        return writer

    def paths(self):
        return list(self._by_path)

    def of(self, path):
        return self._by_path.get(path, ())

    def step_of(self, path):
        """The step that announced the path last, or ""."""
        found = self._by_path.get(path)
        return found[-1].step if found else ""

    def waiting(self, path, pid):
        """The announcement of this process whose open hasn't been told yet, or None."""
        for writer in self._by_path.get(path, ()):
            if writer.pid == pid and not writer.is_open:
                return writer
        return None

    def drop(self, writer):
        found = self._by_path.get(writer.path, [])
        if writer in found:
            found.remove(writer)
            if not found:
                del self._by_path[writer.path]

    def renames(self, source, path, step):
        """A process is about to rename; `source` "": from elsewhere."""
        self._renamers[source, path] = step

    def renamer(self, source, path):
        """The step that said it would rename so, or ""."""
        return self._renamers.pop((source, path), "")

    def renamed(self, source, path):
        """Descriptions follow the file; open ones of a file that had the name `path` are of a file without a name now. An open that was
        announced, and not told of yet, may still come: it is of the new file then."""
        moved = self._by_path.pop(source, [])
        moved += [writer for writer in self._by_path.pop(path, ()) if not writer.is_open]
        if moved:
            for writer in moved:
                writer.path = path
            self._by_path[path] = moved

    def closed(self, path):
        """Which descriptions the kernel's "closed after writing" of this path stands for: several, when events were joined; none, when
        somebody closed it who hadn't announced."""
        present = [writer for writer in self.of(path) if not writer.is_parting]
        if len(present) <= 1:
            return present
        if endings.is_written(path) is False:
            return present
        gone = [writer for writer in present if endings.is_ending(writer.pid)]
        return (gone or present)[:1]

    def parted(self, pid):
        """Descriptions that wait to hear how this process ended."""
        return [writer for found in self._by_path.values() for writer in found if writer.pid == pid and writer.is_parting]

    def count(self):
        return sum(map(len, self._by_path.values()))
