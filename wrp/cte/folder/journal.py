"""The journal of one rank: changes to the store since the last snapshot, a frame each. When it has grown long it is written anew, shorter.

Behind its last frame the file has room: zeros, written beforehand. A frame that goes where bytes were before costs a sync nothing but its
own blocks; one that makes the file longer has the file system write down where its new blocks are, too. Zeros begin no frame, so whoever
reads a journal finds its end by them as by a torn tail. `close` cuts them off, and writes a frame of its own in their place.
"""

import errno
import os

from wrp.comm.lasting import sync_path, write_all
from wrp.comm.lock import DEFAULT_TIMEOUT_S
from wrp.comm.refusals import is_refusal, tolerant
from wrp.comm.turn import Turn
from wrp.cte.folder import frames
from wrp.cte.folder.replay import fewest
from wrp.errors import StoreError, Uncertain, UsageError, WaitTimeout, WrpError

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_CLOSED = frames.encode({"closed": True})
_ROUNDS = 2                     # of carrying over what was added while a journal was written anew, before nothing may be added
_LEAST_ROOM, _MOST_ROOM = 64 << 10, 4 << 20         # bytes of room made at once: as many as the frames take, no more than the capacity


class _Refused(StoreError):
    """Nothing of what was given was written."""


class Journal:
    """The journal of one rank; made at its first record. `append` is durable when it returns. Any thread may use it.

    capacity : bytes from which on it `is_long`; 0: it never is
    """

    def __init__(self, path, durable=True, capacity=0):
        self.path = path
        self._durable = durable
        self._capacity = self._limit = capacity
        self._nbytes = self._written = 0            # of its frames, and of the file that has blocks
        self._descriptor, self._is_closed = None, False
        self.is_kept = False        # bytes that it holds may never have come to their place: it isn't written anew
        self._torn = False          # part of a frame may stand at its end: what came after it would be lost
        self._turn, self._said = Turn(), f"the journal {path}"

    @property
    def nbytes(self):
        """Of the frames that are in it."""
        return self._nbytes

    @property
    def is_begun(self):
        """True when there is a file."""
        return self._descriptor is not None

    @property
    def is_long(self):
        """True when `shorten` is worth while."""
        return self._limit and self._nbytes > self._limit and not self.is_kept

    def is_known(self, error):
        """False when what `append` was given may be there or not after this error of it."""
        return isinstance(error, _Refused) or not (self._torn or isinstance(error, Uncertain))

    def append(self, change, written=None):
        """Add one frame: {"put": [plain records], "remove": [[name, stamp], …], "bytes": [packed]}, see carried.py for the last; all of it or nothing survives.

        written : a list that gets True once it survives, whatever is raised after that by a handler of a signal
        Raises StoreError: nothing does; Uncertain where that isn't known, because the file couldn't be cut on storage either: the space that it names isn't free.
        """
        self.add(frames.encode(change), written)

    def add(self, frame, written=None):
        """The same of a change that is a frame already (bytes-like)."""
        with self._turn.of(self._said):
            if self._is_closed:
                raise UsageError(f"{self._said} is closed, as the store was closed meanwhile; what this call promised is not kept")
            if self._torn:
                self._refuse()
            if self._descriptor is None:
                self._open()
            try:
                end = self._nbytes + len(frame)
                if end > self._written:
                    self._make_room(len(frame))
                write_all(self._descriptor, frame, self._nbytes)
                if self._durable:
                    os.fdatasync(self._descriptor)
            except BaseException as error:
                self._torn = True
                with tolerant():                # else nothing is written after it
                    self._cut()
                    if self._durable:
                        os.fsync(self._descriptor)      # a frame that was refused must not come back when the machine goes down
                    self._torn = False
                if not is_refusal(error):
                    raise
                if self._torn:
                    raise Uncertain(f"{self._said} can't be written, and not be cut either: {error}; what this call promised isn't kept, "
                                    "but may be there when the store is opened again") from error
                raise StoreError(f"{self._said} can't be written: {error.strerror}; "
                                 f"what this call promised is not kept") from error
            self._nbytes = end
            if written is not None:
                written.append(True)
            if end > self._written:
                self._written = end

    def _make_room(self, nbytes):
        """Zeros behind the last frame, enough for the next; on a disk that is too full for them, none."""
        room = nbytes + self._room()
        with tolerant():
            write_all(self._descriptor, bytes(self._nbytes + room - self._written), self._written)
            self._written = self._nbytes + room

    def _room(self):
        return min(max(self._nbytes, _LEAST_ROOM), self._capacity or _MOST_ROOM, _MOST_ROOM)

    def _cut(self):
        os.ftruncate(self._descriptor, self._nbytes)
        self._written = self._nbytes

    def shorten(self, kept, begin, pace=iter):
        """Write its first `begin` bytes anew with the newest change of each name alone, and no bytes; see replay.fewest for `kept`. What it says survives at every moment.

        Others may add to it meanwhile: they wait only while it changes its file. pace : as for frames.decode_all
        Where that can't be written nothing that was promised is lost, and the journal grows on. StoreError for damage.
        """
        new = self.path + ".new"
        try:
            changes = fewest(self._changes(begin, pace), kept, pace)
            descriptor = os.open(new, _FLAGS | os.O_TRUNC, 0o666)
            try:
                self._fill(descriptor, changes, begin, pace)
            finally:
                os.close(descriptor)
                with tolerant():                # it is there after an error only
                    os.unlink(new)
        except OSError as error:
            if not is_refusal(error):
                raise
            # it is as it was, or the next `append` says that nothing can be added to it
        finally:
            self._limit = max(self._capacity, 2 * self._nbytes)

    def _changes(self, nbytes, pace):
        """What its first `nbytes` bytes say: no frame that is being added is among it, which may be refused yet."""
        try:
            changes, end = frames.decode_all(os.pread(self._descriptor, nbytes, 0), pace)
        except ValueError as error:
            raise StoreError(f"{self.path} has a frame that wrp doesn't write: {error}") from error
        if end != nbytes:
            raise StoreError(f"{self.path} is damaged at byte {end}")
        return changes

    def _fill(self, descriptor, changes, begin, pace):
        """Write the changes and what was added from `begin` on; the file is the journal's then."""
        nbytes = 0
        for frame in map(frames.encode, pace(changes)):
            write_all(descriptor, frame, nbytes)
            nbytes += len(frame)
        for _ in range(_ROUNDS):            # each has less to carry
            nbytes, begin = self._carried(descriptor, nbytes, begin)
            os.fsync(descriptor)
        written, room = nbytes, self._room()
        with tolerant():
            write_all(descriptor, bytes(room), nbytes)
            written += room
        os.fsync(descriptor)
        with self._turn.of(self._said):
            if self._torn:
                self._refuse()
            nbytes, _ = self._carried(descriptor, nbytes, begin)
            os.fdatasync(descriptor)
            self._switch(descriptor, nbytes, max(written, nbytes))

    def _carried(self, descriptor, nbytes, begin):
        """(bytes of the new file, of the old one) once what was added to that from `begin` on stands in the new one, too."""
        end = self._nbytes
        data = os.pread(self._descriptor, end - begin, begin)
        if len(data) != end - begin:
            raise OSError(errno.EIO, "fewer bytes than it has", self.path)
        write_all(descriptor, data, nbytes)
        return nbytes + len(data), end

    def _switch(self, descriptor, nbytes, written):
        self._torn = True                   # until what is appended goes to the file that has the name for good
        try:
            os.replace(self.path + ".new", self.path)
        except OSError as error:
            self._torn = not is_refusal(error)      # a handler's error may come after the file has the name
            raise
        os.dup2(descriptor, self._descriptor, inheritable=False)
        self._nbytes, self._written = nbytes, written
        sync_path(os.path.dirname(self.path))
        self._torn = False

    def _refuse(self):
        raise _Refused(f"{self._said} could not be written before: close the store and open it again")

    def close(self, timeout_s=DEFAULT_TIMEOUT_S):
        """Nothing is added any more; what another thread is adding is in it before. Idempotent.

        timeout_s : for that thread. WaitTimeout: the journal is open still
        """
        try:
            if not self._turn.acquire(timeout=timeout_s):
                raise WaitTimeout(f"{self._said} can't be closed: another thread of process {os.getpid()} has been adding to it for {timeout_s:g} s "
                                  "(runtime.timeout_s): look whether its storage answers")
            self._end()
        finally:
            try:                        # one step, as in Parts.sync
                self._turn.release()
            except WrpError:            # of a signal's handler
                raise
            except RuntimeError:        # the wait was in vain
                pass

    def _end(self):
        self._is_closed = True
        if self._descriptor is not None:
            with tolerant():
                self._cut()
                if not self._torn:          # so that a damaged last frame isn't taken for one that was being written
                    write_all(self._descriptor, _CLOSED, self._nbytes)
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _open(self):
        try:
            descriptor = os.open(self.path, _FLAGS, 0o666)
            try:
                sync_path(os.path.dirname(self.path))
                self._written = os.fstat(descriptor).st_size
                self._nbytes = frames.decode_all(os.pread(descriptor, self._written, 0))[1]
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            if not is_refusal(error):
                raise
            raise StoreError(f"the journal {self.path} can't be made: {error.strerror}") from error
        self._descriptor = descriptor
