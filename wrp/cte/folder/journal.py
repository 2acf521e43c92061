"""The journal of one rank: changes to the store since the last snapshot, a frame each."""

import os

from wrp.cte.folder import frames
from wrp.cte.folder.files import sync_folder, write_all
from wrp.errors import StoreError


class Journal:
    """The journal of one rank; made at its first record. `append` is durable when it returns."""

    def __init__(self, path, durable=True):
        self._path = path
        self._durable = durable
        self._descriptor = None
        self._torn = False          # part of a frame may stand at its end: what came after it would be lost

    def append(self, change):
        """Add one frame: {"put": [plain records], "remove": [[name, stamp], …]}; all of it or nothing survives."""
        if self._torn:
            raise StoreError(f"the journal {self._path} could not be written before: close the store and open it again")
        if self._descriptor is None:
            self._open()
        data = frames.encode(change)
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
            raise StoreError(f"the journal {self._path} can't be written: {error.strerror}; "
                             f"what this call promised is not kept") from error

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self):
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                sync_folder(os.path.dirname(self._path))
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise StoreError(f"the journal {self._path} can't be made: {error.strerror}") from error
        self._descriptor = descriptor
