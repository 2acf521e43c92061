"""Copies of other nodes' files on this node: real files below CAPIO_DIR. A thread writes what comes in pieces into them; what comes by a stream its own thread."""

import os
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass

from wrp.capio.nodes.streaming import Incoming
from wrp.capio.server import depot


@dataclass
class Copy:
    """A copy. `key`: (node, number) of its sending, or None for an entry of a directory whose bytes nobody has asked for.
    `has_failed`: it can't be written, or isn't wanted; `is_fresh`: its file may have bytes of another one."""

    path: str
    key: tuple | None = None
    file: int = -1
    is_whole: bool = False
    has_failed: bool = False
    is_streamed: bool = False
    is_fresh: bool = False


class Receiver:
    """Writes copies. `arrived(copy, nbytes)` is told in the threads; everything else is of the server's thread. `place(path)`, if it isn't None, makes a file
    that isn't to lie where its name is, before it is opened."""

    def __init__(self, links, arrived):
        self._links, self._arrived, self.place = links, arrived, None
        self._by_path, self._queue = {}, queue.SimpleQueue()
        self._streamed, self._known, self._is_closing = {}, threading.Condition(), False
        links.on_piece = self._take
        if links.streams is not None:
            links.streams.listen(Incoming(self, lambda node, number: links.send(node, "confirmed", number)).hear)
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

    def is_current(self, copy):
        """False for a copy of a file that had the name before."""
        now = self._by_path.get(copy.path)
        return now is None or now.key == copy.key

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

    def begin(self, path, key, mode, is_streamed=False):
        """A file is coming; without a `key` it is made empty, for its name alone. Raises OSError."""
        before = self._by_path.setdefault(path, Copy(path))
        if key is not None and before.key not in (None, key):
            with suppress(FileNotFoundError):
                depot.unlink(path)          # who reads the file that had the name before goes on with that
        if self.place is not None:
            self.place(path)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode | 0o200)
        if key is None:
            os.close(file)
            return
        if before.key is not None and not before.is_whole:
            self.refuse(before.key, before.is_streamed)     # of a file that had the name before, or by a stream that has broken
        copy = self._by_path[path] = Copy(path, key, file, is_streamed=is_streamed, is_fresh=before.key != key or before.is_fresh)
        if is_streamed:
            if before.key is None or before.is_whole:       # else its thread may still write
                self._empty(copy)
            with self._known:
                self._streamed[key] = copy
                self._known.notify_all()
        else:
            self._queue.put(("begin", copy))

    def refuse(self, key, is_streamed=False):
        """Nothing is made of what comes with this key."""
        if is_streamed:
            with self._known:
                self._streamed.setdefault(key, Copy("", key)).has_failed = True
                self._known.notify_all()
        else:
            self._queue.put(("refuse", key))

    # the threads of streams

    def streamed(self, key):
        """The Copy that comes with this key, once the server's thread has begun it. ConnectionError at the end."""
        with self._known:
            self._known.wait_for(lambda: self._is_closing or key in self._streamed)
            if self._is_closing:
                raise ConnectionAbortedError("nobody wants it any more")
            copy = self._streamed[key]
        self._empty(copy)
        return copy

    def _empty(self, copy):
        """Something of it is here, be it nothing yet: what the name had before is gone, now that all that came for that is written."""
        if copy.is_fresh and not copy.has_failed:
            copy.is_fresh = False
            try:
                _resize(copy.file, 0)
            except OSError as error:
                self.fails(copy, error)
            self.has_grown(copy, 0)

    def has_grown(self, copy, nbytes):
        """So many bytes of a copy are here."""
        if not copy.has_failed:
            self._arrived(copy, nbytes)

    def fails(self, copy, error):
        """It can't be written."""
        copy.has_failed = True
        self._arrived(copy, error)

    def is_whole(self, key, copy, nbytes):
        """All of it has come."""
        with self._known:
            self._streamed.pop(key, None)
        self._finish(copy, nbytes)

    def _finish(self, copy, nbytes):
        file, copy.file = copy.file, -1
        try:
            if not copy.has_failed:
                _resize(file, nbytes)
        except OSError as error:
            self.fails(copy, error)
        if file >= 0:
            os.close(file)
        if not copy.has_failed:
            copy.is_whole = True
            self._arrived(copy, nbytes)

    def renamed(self, source, path):
        """The file has another name where it was made; True when there is a copy of it here."""
        copy = self._by_path.pop(source, None)
        if copy is not None:
            self._by_path[path], copy.path = copy, path
            os.replace(source, path)
        return copy is not None

    def forget(self, path):
        """The name is gone here; True when it was a copy's."""
        return self._by_path.pop(path, None) is not None

    # the thread of pieces

    def _run(self):
        by_key, early, refused = {}, {}, set()
        for what, *more in iter(self._queue.get, None):
            if what == "begin":
                by_key[more[0].key] = more[0]
                self._empty(more[0])
                for waited in early.pop(more[0].key, ()):
                    self._handle(by_key, *waited)
            elif what == "refuse":
                refused.add(more[0])
                if more[0] in by_key:
                    self._shut(by_key.pop(more[0]))
                for waited, _, *rest in early.pop(more[0], ()):
                    self._leave(waited, rest)
            elif more[0] in refused:
                self._leave(what, more[1:])
            elif more[0] in by_key:
                self._handle(by_key, what, *more)
            else:
                early.setdefault(more[0], []).append((what, *more))     # the server's thread hasn't begun it yet

    def _shut(self, copy):
        if copy.file >= 0:
            os.close(copy.file)
            copy.file = -1

    def _leave(self, what, more):
        if what == "piece":
            self._links.give_back(more[-1])         # others wait for it

    def _handle(self, by_key, what, key, *more):
        copy = by_key[key]
        if what == "whole":
            del by_key[key]
            self._finish(copy, more[0])
            return
        (offset, nbytes, buffer), done = more, 0
        try:
            while done < nbytes and not copy.has_failed:        # the last bytes that there is room for are written without an error
                done += os.pwrite(copy.file, buffer[done:nbytes], offset + done)
            self.has_grown(copy, offset + nbytes)
        except OSError as error:
            self.fails(copy, error)
        finally:
            self._links.give_back(buffer)

    def close(self):
        self._queue.put(None)
        with self._known:
            self._is_closing = True
            self._known.notify_all()
        if self._links.streams is not None:
            self._links.streams.close()
        self._thread.join()
        for copy in (*self._by_path.values(), *self._streamed.values()):
            self._shut(copy)


def _resize(file, nbytes):
    """Give a file its size where it hasn't it: of one that was ever cut to nothing ext4 writes all to the disk when it is closed."""
    if os.fstat(file).st_size != nbytes:
        os.ftruncate(file, nbytes)
