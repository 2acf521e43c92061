"""Files that lie elsewhere than CAPIO_DIR does, as a workflow's `storage` says: in memory, or on the file system of --keep. In CAPIO_DIR each is a link.

A depot is a folder beside the server's socket, or one that a link there leads to; a file's name in it is a number, so that a rename of the link is all of a
rename. Who makes a file makes it in the depot and then its link, which is there or not in one step: no name is ever without its file.
"""

import itertools
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from wrp.capio.language.plan import MEMORY

NAME = "depot"
_LINK = re.compile(r"/.*/capio-[0-9a-f]{16}/depot/[0-9]+")
_FILE = re.compile(r"/.*/(capio-[0-9a-f]{16}/depot|\.capio-[0-9a-f]{16})/[0-9]+")


class Depot:
    """The depot of one server. `is_all`: every file of the run that may lie in it does; else those that `storage` names."""

    def __init__(self, place_folder, capio_dir, kind, beside=None, is_all=False):
        """kind : MEMORY: in the server's folder; FILE_SYSTEM: in `beside`, the folder of --keep; all of capio_dir's links to it are known"""
        self._kind, self._is_all = kind, is_all
        made = Path(os.path.realpath(place_folder)) / NAME
        if kind == MEMORY:
            made.mkdir(mode=0o700, exist_ok=True)
        elif not made.is_symlink():
            hidden = Path(beside) / f".{made.parent.name}"
            hidden.mkdir(mode=0o700, exist_ok=True)
            made.symlink_to(hidden)
        self._prefix, self.folder = f"{made}/", os.path.realpath(made)
        self._numbers = itertools.count(time.time_ns())         # what a killed server has left may still lie there
        self._by_path, self._by_number = {}, {}         # {path: number}, {number: [path]}, the newest name last
        self._promised = {}                             # {path: [number]} of files that somebody is about to make
        self._touched, self._nameless = set(), {}       # names that something was told of since `settle`; {number: it was so already when that looked}
        for path in links_below(capio_dir, made):
            os.unlink(path) if not os.path.exists(path) else self.seen(path)

    def place(self, plan):
        """Where a new file of this FilePlan is to be made, "" where in CAPIO_DIR itself."""
        takes = self._is_all or plan.storage == self._kind and (self._kind == MEMORY or "storage" in plan.origins)
        if not takes or plan.excluded or plan.is_directory:
            return ""
        number = str(next(self._numbers))
        self._promised.setdefault(plan.path, []).append(number)
        return self._prefix + number

    def make(self, path, plan):
        """Make an empty file for another node's bytes, where it belongs in the depot and nothing has the name. OSError."""
        there = self.place(plan) if not os.path.lexists(path) else ""
        if there:
            os.close(os.open(there, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            os.symlink(there, path)
            self.seen(path)

    def seen(self, path):
        """A name has come into being: it may be a link to a file here. One that is another by now, or gone, was that to the file that was promised."""
        self._touched.add(path)
        there, promised = lies_at(path), self._promised.get(path, [])
        if there.startswith(self._prefix):
            number = there.rpartition("/")[2]
        elif promised and not os.path.lexists(path):
            number = next((number for number in promised if os.path.lexists(self._prefix + number)), promised[0])
        else:
            return
        self._note(path, number)
        if number in promised:
            self.not_made(path, number)

    def not_made(self, path, number=None):
        """A promised file isn't to come any more: `number`, or the one that was promised first."""
        promised = self._promised.get(path)
        if promised:
            promised.remove(promised[0] if number is None else number)
            if not promised:
                del self._promised[path]

    def _note(self, path, number):
        self._lost(path)
        self._by_path[path] = number
        self._by_number.setdefault(number, []).append(path)

    def _forget(self, path):
        """(the number that a name stood for, whether another one does still); (None, False) of an unknown one."""
        number = self._by_path.pop(path, None)
        if number is None:
            return None, False
        names = self._by_number[number]
        names.remove(path)
        if not names:
            del self._by_number[number]
        return number, bool(names)

    def translated(self, seen):
        """What the kernel has seen of a file here is told by its name in CAPIO_DIR; None where it has none."""
        if not seen.path.startswith(self.folder + "/"):
            return seen
        path = self.path_of(seen.path)
        return replace(seen, path=path) if path else None

    def holds(self, path):
        """Whether the name is that of a file here."""
        return path in self._by_path

    def path_of(self, there):
        """The path in CAPIO_DIR of a file here, ""."""
        names = self._by_number.get(there.rpartition("/")[2])
        return names[-1] if names else ""

    def renamed(self, source, path, is_directory):
        """Names follow a rename; the file that had the new one is gone."""
        self._touched.update((source, path))
        if is_directory:
            for known in [known for known in self._by_path if known.startswith(source + "/")]:
                self._renamed(known, path + known[len(source):])
        elif not self._is_exchanged(source, path):
            self.gone(path)
            self._renamed(source, path)

    def _is_exchanged(self, source, path):
        """True when two files have changed names (RENAME_EXCHANGE), which the kernel tells of as two renames."""
        own, others = self._by_path.get(source), self._by_path.get(path)
        there = lies_at(source).rpartition("/")[2]
        if own is not None and own == there:
            return True                 # the second half
        if others is None or others != there:
            return False
        self._forget(source)
        self._forget(path)
        self._note(source, others)
        if own is not None:
            self._note(path, own)
        return True

    def _renamed(self, source, path):
        number, _ = self._forget(source)
        if number is None:
            self.seen(path)
        else:
            self._note(path, number)

    def gone(self, path):
        """A name is gone: its file with it, unless it has another name, or somebody has made just this one again."""
        self._touched.add(path)
        if lies_at(path) != self._prefix + self._by_path.get(path, ""):
            self._lost(path)

    def _lost(self, path):
        number, has_others = self._forget(path)
        if number is not None and not has_others:
            self._nameless.setdefault(number, False)

    @property
    def is_unsure(self):
        """True while there are files of which `settle` hasn't decided."""
        return bool(self._nameless)

    def settle(self):
        """All is taken that the kernel had told: names are what they are now, whatever followed on it meanwhile; files that have none go, unless they get one by
        what it tells next."""
        for path in self._touched:
            there = lies_at(path)
            if there.startswith(self._prefix) and there != self._prefix + self._by_path.get(path, ""):
                self._note(path, there.rpartition("/")[2])
        self._touched.clear()
        for number, is_sure in list(self._nameless.items()):
            self._nameless[number] = True
            if is_sure or number in self._by_number:
                del self._nameless[number]
            if is_sure and number not in self._by_number:
                with suppress(OSError):
                    os.unlink(self._prefix + number)

    def below(self, path):
        """The names of files here that are this path or lie below it."""
        return [known for known in self._by_path if known == path or known.startswith(path + "/")]

    def left(self, path):
        """Forget names that were taken out of CAPIO_DIR; returns them."""
        found = self.below(path)
        for known in found:
            self._forget(known)
        return found

    def look_again(self, capio_dir):
        """The kernel has lost count: names that have come, and those that have gone, are looked for."""
        found = set(self.paths(capio_dir))
        for path in found:
            self.seen(path)
        for path in [known for known in self._by_path if known not in found]:
            self.gone(path)

    def paths(self, capio_dir):
        """All names of files here, also those that nobody has told of."""
        return links_below(capio_dir, self._prefix[:-1])


def lies_at(path, folder=None):
    """Where the bytes of a path lie: in a depot, if it is a link to one; else the path itself. `folder`: a descriptor; of that itself where the path is ""."""
    try:
        found = os.readlink(path, dir_fd=folder)
    except OSError:
        return path
    return found if _LINK.fullmatch(found) else path


def may_hold(there):
    """True for the path of a file in a depot; its server knows what it is called in CAPIO_DIR (wire.NAME)."""
    return _FILE.fullmatch(there) is not None


def unlink(path):
    """Remove a name, and what it stands for in a depot, if no other name does. The link itself is held meanwhile: it knows whether it has names left, whatever
    others rename at the same moment."""
    if lies_at(path) == path:
        os.unlink(path)
        return
    link = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        at = lies_at("", link)
        os.unlink(path)
        if at and not os.fstat(link).st_nlink:
            with suppress(OSError):
                os.unlink(at)
    finally:
        os.close(link)


def links_below(capio_dir, depot):
    """The paths below CAPIO_DIR that are links to files of this depot."""
    prefix = f"{depot}/"
    return [path for folder, _, names in os.walk(capio_dir) for path in (f"{folder}/{name}" for name in names)
            if os.path.islink(path) and os.readlink(path).startswith(prefix)]


def remove(place_folder):
    """Remove a depot and all that still lies in it."""
    made = Path(place_folder) / NAME
    if os.path.lexists(made):
        shutil.rmtree(os.path.realpath(made), ignore_errors=True)
        if made.is_symlink():
            made.unlink()

