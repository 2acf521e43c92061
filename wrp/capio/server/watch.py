"""What the kernel says of the files below a directory (inotify): made, closed after writing, renamed, gone. For any program, hooked or not."""

import ctypes
import os
import select
import struct
from dataclasses import dataclass

from wrp.errors import StoreError

MODIFY, CLOSE_WRITE, FROM, TO, CREATE, DELETE, DELETE_SELF = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200, 0x400
OVERFLOW, IGNORED, _IS_DIRECTORY, _ONLY_DIRECTORY = 0x4000, 0x8000, 0x40000000, 0x01000000
_FOLDER = CLOSE_WRITE | FROM | TO | CREATE | DELETE | _ONLY_DIRECTORY
_SINGLE = (CREATE, MODIFY, CLOSE_WRITE, FROM, TO, DELETE)
_KINDS = CREATE | MODIFY | CLOSE_WRITE | FROM | TO | DELETE
_HEAD = struct.Struct("iIII")
_ROOM, _LONGEST = 1 << 20, 16 + 256       # bytes that are read at once, and of one event
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Seen:
    """One event: what (a bit of the mask above), the absolute path; `cookie` joins the two halves of a rename. `is_found`: not told
    by the kernel, but seen in a directory that wasn't watched yet when it was made."""

    what: int
    path: str
    is_directory: bool = False
    cookie: int = 0
    is_found: bool = False


class Watch:
    """Watches a tree; directories made later are watched too, and what lies in them by then is told as made."""

    def __init__(self, root):
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise StoreError("cannot watch files: this user has too many inotify instances; raise fs.inotify.max_user_instances, "
                             "or end programs that watch files")
        self._buffer, self._look = bytearray(_ROOM), select.poll()
        self._look.register(self._fd, select.POLLIN)
        self.root, self._paths, self._numbers, self._files, self._beside = str(root), {}, {}, {}, None
        self.add_tree(self.root)

    def fileno(self):
        return self._fd

    def add_tree(self, path, tell=None):
        """Watch a directory and those below it. `tell`: a list that gets what is found in it, as Seen."""
        if not self._add(path, _FOLDER):
            return
        try:
            entries = list(os.scandir(path))
        except OSError:
            return              # it went this moment
        for entry in entries:
            is_directory = entry.is_dir(follow_symlinks=False)
            if tell is not None:
                tell.append(Seen(CREATE, entry.path, is_directory, is_found=True))
            if is_directory and entry.path not in self._numbers:
                self.add_tree(entry.path, tell)

    def add_closes(self, path):
        """Tell what is closed after writing in a directory that isn't of the tree; in one at most."""
        self._beside = path
        self._add(path, CLOSE_WRITE | _ONLY_DIRECTORY)

    def _add(self, path, mask):
        number = _libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        if number < 0:
            error = ctypes.get_errno()
            if error == 28:         # ENOSPC
                raise StoreError("cannot watch more directories: fs.inotify.max_user_watches is reached; raise it, or use fewer directories")
            return False
        self._paths[number], self._numbers[path] = path, number
        return True

    def rescan(self):
        """Watch the whole tree again, after events were lost; returns all paths in it."""
        found = []
        self.add_tree(self.root, found)
        for folder in list(self._numbers):
            if folder not in (self.root, self._beside):
                self.add_tree(folder, found)
        return sorted({seen.path for seen in found})

    def knows(self, path):
        """True when the directory is watched."""
        return path in self._numbers

    def follow(self, path):
        """Tell of each write to a file (MODIFY) until `unfollow`. Counted."""
        if path in self._files:
            self._files[path] = self._files[path][0], self._files[path][1] + 1
            return
        number = _libc.inotify_add_watch(self._fd, os.fsencode(path), MODIFY)
        if number >= 0:
            self._files[path], self._paths[number] = (number, 1), path

    def unfollow(self, path):
        number, count = self._files.get(path, (-1, 0))
        if count > 1:
            self._files[path] = number, count - 1
        elif count:
            _libc.inotify_rm_watch(self._fd, number)
            del self._files[path]

    def read(self):
        """All that has happened since the last call: a list of Seen; Seen(OVERFLOW, "") when the kernel lost some."""
        told, data, length = [], self._buffer, _ROOM
        while length + _LONGEST > _ROOM and self._look.poll(0):         # else there was room for one more; an exception costs ten times as much
            length = os.readv(self._fd, (data,))
            at = 0
            while at < length:
                number, mask, cookie, nbytes = _HEAD.unpack_from(data, at)
                name = data[at + _HEAD.size:at + _HEAD.size + nbytes].rstrip(b"\0")
                at += _HEAD.size + nbytes
                self._tell(told, number, mask, cookie, os.fsdecode(bytes(name)))
        return told

    def _tell(self, told, number, mask, cookie, name):
        if mask & OVERFLOW:
            told.append(Seen(OVERFLOW, ""))
            return
        folder = self._paths.get(number)
        if folder is None:
            return
        if mask & IGNORED:          # the directory is gone, or a file isn't followed any more
            self._paths.pop(number)
            if self._numbers.get(folder) == number:
                del self._numbers[folder]
            return
        path, is_directory = (f"{folder}/{name}" if name else folder), bool(mask & _IS_DIRECTORY)
        what = mask & _KINDS
        if what in _SINGLE:
            told.append(Seen(what, path, is_directory, cookie))
        else:
            told += [Seen(one, path, is_directory, cookie) for one in _SINGLE if mask & one]
        if is_directory and mask & (CREATE | TO) and path not in self._numbers:
            self.add_tree(path, told)
        elif is_directory and mask & FROM:
            self._moved_away(path)

    def _moved_away(self, path):
        """A directory has another name now, which will be watched anew: forget the names below the old one."""
        for known in [known for known in self._numbers if known == path or known.startswith(path + "/")]:
            number = self._numbers.pop(known)
            self._paths.pop(number, None)
            _libc.inotify_rm_watch(self._fd, number)

    def close(self):
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
