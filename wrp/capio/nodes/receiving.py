"""Copies of other nodes' files on this node: a thread writes what comes into real files below CAPIO_DIR."""

import os
import queue
import threading
from dataclasses import dataclass


@dataclass
class Copy:
    """A copy. `key`: (node, number) of its sending, or None for an entry of a directory whose bytes nobody has asked for."""

    path: str
    key: tuple | None = None
    file: int = -1
    is_whole: bool = False


class Receiver:
    """Writes copies. `arrived(copy, nbytes)` is told in the thread; everything else is of the server's thread."""

    def __init__(self, links, arrived):
        self._links, self._arrived = links, arrived
        self._by_path, self._queue = {}, queue.SimpleQueue()
        links.on_piece = self._take
        self._thread = threading.Thread(target=self._run, name="capio-receiver", daemon=True)
        self._thread.start()

    def _take(self, node, message, buffer):
        """The links' thread: ("piece", slot, bytes, number, offset) or ("whole", number, size)."""
        if buffer is None:
            self._queue.put(("whole", (node, message[1]), message[2]))
        else:
            self._queue.put(("piece", (node, message[3]), message[4], message[2], buffer))

    def has(self, path):
        """True for a copy, and for a directory that was made for one."""
        return path in self._by_path

    def whole(self, path):
        """(node, number) of the sending that a copy, all of which is here, came by; None: there is none."""
        copy = self._by_path.get(path)
        return copy.key if copy is not None and copy.is_whole else None

    def missing(self, path):
        """The directories that aren't there above a path, the uppermost first."""
        folder, found = os.path.dirname(path), []
        while not os.path.isdir(folder):
            found.append(folder)
            folder = os.path.dirname(folder)
        return found[::-1]

    def make_folder(self, path):
        self._by_path[path] = Copy(path, is_whole=True)
        os.mkdir(path)

    def begin(self, path, key, mode):
        """A file is coming; without a `key` it is made empty, for its name alone. Raises OSError."""
        before = self._by_path.setdefault(path, Copy(path))
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode | 0o200)
        if key is None:
            os.close(file)
            return
        if before.key is not None and not before.is_whole:
            self.refuse(before.key)     # of a file that had the name before
        copy = self._by_path[path] = Copy(path, key, file)
        self._queue.put(("begin", copy))

    def refuse(self, key):
        """Nothing is made of what comes with this key."""
        self._queue.put(("refuse", key))

    def renamed(self, source, path):
        """The file has another name where it was made."""
        copy = self._by_path.pop(source, None)
        if copy is not None:
            self._by_path[path], copy.path = copy, path
            os.replace(source, path)

    def forget(self, path):
        """The name is gone here; True when it was a copy's."""
        return self._by_path.pop(path, None) is not None

    def _run(self):
        by_key, early, refused = {}, {}, set()
        for what, *more in iter(self._queue.get, None):
            if what == "begin":
                by_key[more[0].key] = more[0]
                os.ftruncate(more[0].file, 0)
                self._arrived(more[0], 0)
                for waited in early.pop(more[0].key, ()):
                    self._handle(by_key, *waited)
            elif what == "refuse":
                refused.add(more[0])
                if more[0] in by_key:
                    os.close(by_key.pop(more[0]).file)
                for waited, _, *rest in early.pop(more[0], ()):
                    self._leave(waited, rest)
            elif more[0] in refused:
                self._leave(what, more[1:])
            elif more[0] in by_key:
                self._handle(by_key, what, *more)
            else:
                early.setdefault(more[0], []).append((what, *more))     # the server's thread hasn't begun it yet

    def _leave(self, what, more):
        if what == "piece":
            self._links.give_back(more[-1])         # others wait for it

    def _handle(self, by_key, what, key, *more):
        copy = by_key[key]
        if what == "whole":
            os.ftruncate(copy.file, more[0])
            os.close(copy.file)
            copy.file, copy.is_whole = -1, True
            del by_key[key]
            self._arrived(copy, more[0])
            return
        offset, nbytes, buffer = more
        try:
            os.pwrite(copy.file, buffer[:nbytes], offset)
            self._arrived(copy, offset + nbytes)
        except OSError as error:
            self._arrived(copy, error)
        finally:
            self._links.give_back(buffer)

    def close(self):
        self._queue.put(None)
        self._thread.join()
        for copy in self._by_path.values():
            if copy.file >= 0:
                os.close(copy.file)
