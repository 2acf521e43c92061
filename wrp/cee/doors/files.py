"""Files of fsspec over blobs: `Whole`, which is read, or written as a whole or at the end, and `Updated`, which is written anywhere."""

import io

from fsspec.spec import AbstractBufferedFile

from wrp.cee.doors.growing import Growing

_BUFFER_NBYTES = 1 << 17


class Whole(AbstractBufferedFile):
    """Reads ranges as they are asked for; what is written becomes one blob, or is put at its end, when the file is closed or its transaction ends."""

    def __init__(self, fs, path, mode, *args, **options):
        super().__init__(fs, path, mode, *args, **options)
        if mode == "ab" and fs.exists(path):
            self.loc = fs.info(path)["size"]

    def _fetch_range(self, start, end):
        return self.fs.cat_file(self.path, start, end)

    def _initiate_upload(self):
        self._whole = None

    def _upload_chunk(self, final=False):
        if not final:
            return False                # keep it: a blob is put as a whole
        self._whole = self.buffer.getvalue()
        if self.autocommit:
            self.commit()
        return True

    def commit(self):
        if self.mode == "ab":
            self.fs.append(self.path, self._whole)
        else:
            self.fs.pipe_file(self.path, self._whole, "create" if self.mode == "xb" else "overwrite")
        self.discard()

    def discard(self):
        self._whole, self.buffer = None, io.BytesIO()


class Updated(io.BufferedRandom):
    """A blob that is there, read and written at any place, and cut: what was written is in the store after `flush` or `close`, or sooner."""

    def __init__(self, store, tag, blob):
        super().__init__(_Ranges(Growing(store, tag, blob)), _BUFFER_NBYTES)

    def flush(self):
        super().flush()
        self.raw.flush()


class _Ranges(io.RawIOBase):
    """A Growing with a place in it."""

    def __init__(self, growing):
        self._growing, self._at = growing, 0

    def readable(self):
        return True

    seekable = writable = readable

    def seek(self, offset, whence=io.SEEK_SET):
        if whence == io.SEEK_END:
            self._growing.refresh()
        at = offset + (0 if whence == io.SEEK_SET else self._at if whence == io.SEEK_CUR else self._growing.nbytes)
        if at < 0:
            raise ValueError(f"there is no byte {at} to seek to")
        self._at = at
        return at

    def readinto(self, buffer):
        view = memoryview(buffer).cast("B")
        self._growing.refresh()
        data = self._growing.read(self._at, len(view))
        view[:len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data):
        data = bytes(data)
        self._growing.write(self._at, data)
        self._at += len(data)
        return len(data)

    def truncate(self, size=None):
        size = self._at if size is None else size
        self._growing.truncate(size)
        return size

    def flush(self):
        self._growing.put()
