"""The journal of one rank: changes to the store since the last snapshot, a frame each. When it has grown long it is written anew, shorter."""

import os
import threading

from wrp.cte.folder import frames
from wrp.cte.folder.files import sync_folder, write_all
from wrp.cte.folder.replay import fewest, read_changes
from wrp.errors import StoreError

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Journal:
    """The journal of one rank; made at its first record. `append` is durable when it returns. Any thread may use it.

    capacity : bytes from which on it `is_long`; 0: it never is
    """

    def __init__(self, path, durable=True, capacity=0):
        self.path = path
        self._durable = durable
        self._capacity = self._limit = capacity
        self._nbytes = 0
        self._descriptor = None
        self._torn = False          # part of a frame may stand at its end: what came after it would be lost
        self._turn = threading.Lock()

    @property
    def is_long(self):
        """True when `shorten` is worth while."""
        return self._limit and self._nbytes > self._limit

    def append(self, change):
        """Add one frame: {"put": [plain records], "remove": [[name, stamp], …]}; all of it or nothing survives."""
        data = frames.encode(change)
        with self._turn:
            self._check()
            if self._descriptor is None:
                self._open()
            end = os.fstat(self._descriptor).st_size
            try:
                write_all(self._descriptor, data)
                if self._durable:
                    os.fdatasync(self._descriptor)
            except BaseException as error:
                self._torn = True
                os.ftruncate(self._descriptor, end)
                self._torn = False
                if not isinstance(error, OSError):
                    raise
                raise StoreError(f"the journal {self.path} can't be written: {error.strerror}; "
                                 f"what this call promised is not kept") from error
            self._nbytes = end + len(data)

    def shorten(self, kept):
        """Write it anew with the newest change of each name alone; see replay.fewest for `kept`. What it says survives at every moment.

        Where that can't be written nothing that was promised is lost, and the journal grows on.
        """
        with self._turn:
            self._check()
            try:
                self._replace(b"".join(map(frames.encode, fewest(read_changes(self.path, whole=False), kept))))
            except OSError:
                pass                        # it is as it was, or the next `append` says that nothing can be added to it
            self._limit = max(self._capacity, 2 * self._nbytes)

    def _replace(self, data):
        descriptor = os.open(self.path + ".new", _FLAGS | os.O_TRUNC, 0o666)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
            self._torn = True               # until what is appended goes to the file that has the name for good
            os.replace(self.path + ".new", self.path)
        except OSError:
            self._torn = False
            os.close(descriptor)
            raise
        descriptor, self._descriptor = self._descriptor, descriptor
        os.close(descriptor)
        sync_folder(os.path.dirname(self.path))
        self._torn, self._nbytes = False, len(data)

    def _check(self):
        if self._torn:
            raise StoreError(f"the journal {self.path} could not be written before: close the store and open it again")

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self):
        try:
            descriptor = os.open(self.path, _FLAGS, 0o666)
            try:
                sync_folder(os.path.dirname(self.path))
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise StoreError(f"the journal {self.path} can't be made: {error.strerror}") from error
        self._descriptor = descriptor
