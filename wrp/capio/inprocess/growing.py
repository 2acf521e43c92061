"""Reading a file, or listing a directory, that is being written: what Python's own objects need below them. Asks nobody whether it may."""

import io
import os
import time

from wrp.capio import wire


class _Waiting:
    """What a growing file is waited for, and told of when the program is through with it."""

    def _begin(self, talk, path, slot):
        self._talk, self._path, self._slot, self.pause_s = talk, path, slot, talk.pause_s
        self._is_complete, self._nbytes, self._waited_s = False, 0, 0.0

    def wait(self, upto, waited_s, hurries):
        """One wait for byte `upto`; returns the seconds that it took."""
        begun = time.monotonic()
        self._is_complete |= self._talk.wait_more(self._path, upto, waited_s, hurries)
        spent = time.monotonic() - begun
        self._waited_s += spent
        return spent

    def _wait_complete(self):
        begun = time.monotonic()
        if not self.is_complete:
            self._talk.wait_complete(self._path, self._slot)
            self._is_complete = True
            self._waited_s += time.monotonic() - begun

    @property
    def is_complete(self):
        self._is_complete = self._is_complete or self._talk.is_complete(self._slot)
        return self._is_complete

    def _done(self):
        if self._nbytes or self._waited_s:
            self._talk.tell(wire.DONE, self._path, self._nbytes, int(1e9 * self._waited_s))


class Growing(_Waiting, io.FileIO):
    """A FileIO whose end is the end only once the file is complete. Who asks for its descriptor reads past us, so that waits until then."""

    def __init__(self, descriptor, talk, path, slot):
        super().__init__(descriptor, "rb")
        self._begin(talk, path, slot)

    def readinto(self, buffer):
        view = memoryview(buffer).cast("B")
        done = fill(lambda at: super(Growing, self).readinto(view[at:]), len(view), self.tell, self)
        self._nbytes += done
        return done

    def read(self, size=-1):
        if size is None or size < 0:
            return self.readall()
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[:self.readinto(buffer)])

    def readall(self):
        parts = []
        while part := self.read(1 << 16):
            parts.append(part)
        return b"".join(parts)

    def seek(self, offset, whence=0):
        if whence not in (0, 1):
            self._wait_complete()
        return super().seek(offset, whence)

    def fileno(self):
        self._wait_complete()
        return super().fileno()

    def close(self):
        if not self.closed:
            self._done()
        super().close()


def fill(read, wanted, position, file):
    """Call read(done) until `wanted` bytes are there, the file is complete or its writer has paused; returns the bytes read."""
    done, waited_s = 0, 0.0
    while done < wanted:
        is_complete = file.is_complete          # looked at before the bytes
        count = read(done)
        done += count
        if count:
            waited_s = 0.0
        elif is_complete or (done and waited_s >= file.pause_s):
            break
        else:
            waited_s += file.wait(position() + 1, waited_s, done > 0)
    return done


class Opened(_Waiting):
    """A descriptor that os.open has given for a growing file."""

    def __init__(self, descriptor, talk, path, slot):
        self._descriptor = descriptor
        self._begin(talk, path, slot)

    def close(self):
        """The program closes its descriptor."""
        self._done()

    def read(self, size, plain_read):
        parts = []

        def one(done):
            parts.append(plain_read(self._descriptor, size - done))
            return len(parts[-1])

        self._nbytes += fill(one, size, lambda: os.lseek(self._descriptor, 0, os.SEEK_CUR), self)
        return b"".join(parts)

    def as_file(self):
        return Growing(self._descriptor, self._talk, self._path, self._slot)


def entries(scan, talk, path, slot):
    """What `scan()` lists, each name once, until the directory is complete."""
    seen, waited_s, all_waited_s, is_over = set(), 0.0, 0.0, False
    try:
        while True:
            is_complete = is_over or talk.is_complete(slot)
            for entry in scan():
                name = getattr(entry, "name", entry)
                if name not in seen:
                    seen.add(name)
                    waited_s = 0.0
                    yield entry
            if is_complete:
                return
            begun = time.monotonic()
            is_over = talk.wait_more(path, len(seen) + 1, waited_s, is_directory=True)
            waited_s += time.monotonic() - begun
            all_waited_s += time.monotonic() - begun
    finally:
        if all_waited_s:
            talk.tell(wire.DONE, path, 0, int(1e9 * all_waited_s))
