"""Who has which file open for writing: what programs announce before they open, joined with what the kernel says when they close."""

from dataclasses import dataclass

from wrp.capio import wire
from wrp.capio.server import endings


@dataclass(slots=True)
class Writer:
    """One open file description. `is_open`: its open is known to have happened; `is_parting`: closed by a process that is ending;
    `tells`: its process tells of the open before it closes; `thread`: which has announced it; `post`: of a process that has posted it instead, which of its posts."""

    description: int
    path: str
    step: str
    pid: int
    is_truncated: bool = False
    is_open: bool = False
    is_parting: bool = False
    tells: bool = False
    thread: int = 0
    post: tuple | None = None


class Writers:
    """The descriptions of a node, by path. outcome_of(post): what is known of a post, as in wire. A post makes a file with O_EXCL: it alone, or not at all."""

    def __init__(self, outcome_of):
        self._by_path, self._last, self._outcome_of = {}, 0, outcome_of
        self._expected = {}             # path: [(step, pid, post)] of those who have posted that they make it
        self._unsettled = set()         # paths that came into being before it was known whose post it was, if any's
        self._renamers = {}             # (old path, new path): the step that has said that it renames

    def announce(self, path, step, pid, is_truncated, tells=False, thread=0, post=None):
        """A thread of a process is about to open the path for writing."""
        before = self.waiting(path, pid, thread)
        if before is not None and (before.tells or endings.is_written(path) is not True):
            self.drop(before)           # nothing came of it
        self._last += 1
        writer = Writer(self._last, path, step, pid, is_truncated, tells=tells, thread=thread, post=post)
        self._by_path.setdefault(path, []).append(writer)
        return writer

    def expect(self, path, step, pid, post):
        """A process has posted that it makes the path, which nobody had made."""
        self._expected.setdefault(path, []).append((step, pid, post))

    def only(self, path):
        """(step, pid) of the only process that writes or is about to, which has posted it; None when there are others, or none."""
        found = self._expected.get(path)
        return found[0][:2] if found and len(found) == 1 and path not in self._by_path else None

    def is_done(self, path):
        """The file that `only` has told of is closed."""
        del self._expected[path]

    def made(self, path):
        """The path has come into being: [Writer] of those who have it open, or may, and don't tell of that."""
        self._unsettled.discard(path)
        self._settle(path)
        return [writer for writer in self.of(path) if not writer.tells]

    def settled(self, path):
        """As `made`, again, where it wasn't known then whose post it was."""
        return self.made(path) if path in self._unsettled else ()

    def _settle(self, path):
        """Find the post that has made the path."""
        for one in list(self._expected.get(path, ())):
            outcome = self._outcome_of(one[2])
            if outcome == wire.NOTHING:
                self._forget(path, one)
            elif outcome == wire.MADE or self.only(path):           # nobody else can have
                self._forget(path, one)
                self.announce(path, *one[:2], False, post=one[2])
                return
        if path in self._expected:
            self._unsettled.add(path)

    def _forget(self, path, one):
        self._expected[path].remove(one)
        if not self._expected[path]:
            del self._expected[path]
            self._unsettled.discard(path)

    def withdraw(self, path, pid):
        """Nothing came of what a process had posted. The Writer that it was taken for, or None."""
        for one in self._expected.get(path, ()):
            if one[1] == pid and self._outcome_of(one[2]) == wire.NOTHING:
                self._forget(path, one)
                return None
        return next((writer for writer in self.of(path) if writer.pid == pid and writer.post and self._outcome_of(writer.post) == wire.NOTHING), None)

    def ended(self, pid):
        """A process has ended, and what has parted is settled: it makes nothing more. An open of its that it hasn't told of hasn't happened; nor has one of a
        process that doesn't tell, where nobody has the file open: it was killed before it could."""
        for writer in [writer for found in self._by_path.values() for writer in found if writer.pid == pid and not writer.is_open and not writer.is_parting]:
            if writer.tells or endings.is_written(writer.path) is not True:
                self.drop(writer)
        for path, one in [(path, one) for path, found in self._expected.items() for one in found if one[1] == pid]:
            self._forget(path, one)

    def paths(self):
        return list(self._by_path)

    def expected(self):
        return list(self._expected)

    def of(self, path):
        return self._by_path.get(path, ())

    def step_of(self, path):
        """The step that announced the path last, or ""."""
        found = self._by_path.get(path)
        return found[-1].step if found else ""

    def waiting(self, path, pid, thread):
        """The last announcement of this thread whose open hasn't been told yet, or None."""
        for writer in reversed(self._by_path.get(path, ())):
            if (writer.pid, writer.thread) == (pid, thread) and not writer.is_open:
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

    def closed(self, path, has_opened):
        """The description that the kernel's "closed after writing" of this path stands for, or None, when somebody closed it who hadn't announced.
        has_opened(writer): as of `lost_sight_of`."""
        present = self._present(path)
        if len(present) > 1:
            present = self._opened(present, has_opened) or present
        if len(present) <= 1:
            return present[0] if present else None
        gone = [writer for writer in present if endings.is_ending(writer.pid)]
        return min(gone or present, key=lambda writer: not writer.is_open)

    def lost_sight_of(self, path, has_opened):
        """Descriptions that are closed though no event has said so: nobody writes to the file. has_opened(writer): asks its process's connections."""
        present = self._opened(self._present(path), has_opened)
        return present if present and endings.is_written(path) is False else []

    @staticmethod
    def _opened(writers, has_opened):
        """Those of them whose open has happened, or may have: one who tells of that says so before it closes."""
        return [writer for writer in writers if writer.is_open or not writer.tells or has_opened(writer)]

    def _present(self, path):
        return [writer for writer in self.of(path) if not writer.is_parting]

    def parted(self, pid):
        """Descriptions that wait to hear how this process ended."""
        return [writer for found in self._by_path.values() for writer in found if writer.pid == pid and writer.is_parting]

    def count(self):
        return sum(map(len, self._by_path.values()))
