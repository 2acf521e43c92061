"""A device in a bucket: objects of one size below a URL, through fsspec (s3:// by s3fs, gs:// by gcsfs, file:// and memory:// by itself). Leasing is device.py's.

    URL/header          JSON: format, bytes of an object, capacity
    URL/00000007        bytes 7 * object_nbytes on of the device, as far as they were written

A write has put all of its objects when it returns. One that it changes in part is read and put again, whole: a service puts an object wholly or not,
and so does file://, where a file `00000007.*.part` is renamed when it has all the bytes and they are on storage. With s3:// a put that comes late changes nothing: known.py.
"""

import asyncio
import ctypes
import errno
import json
import logging
import os
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import get_native_id

import numpy as np

from wrp.comm import filesystems, installing
from wrp.comm.heir import inherited
from wrp.comm.lasting import make_folders, sync_path
from wrp.comm.lock import Token
from wrp.comm.refusals import is_refusal, tolerant
from wrp.errors import StoreError, StoreVersion, UsageError
from wrp.runtime.devices.held import HeldDevice
from wrp.runtime.devices.known import TRIES, Changed, Known

OBJECT_NBYTES = 4 << 20
TOKENS = 64                     # who changes a part of an object holds the token of its number
TIMEOUT_S = 300.0
_FORMAT = 1
_log = logging.getLogger("wrp.runtime")
_PART = ".part"                                     # ends the name of a file that isn't an object yet


class Bucket:
    """The objects below a URL. Local; any thread. Raises UsageError when a package is missing, OSError with a sentence for what the service says."""

    def __init__(self, url, timeout_s=TIMEOUT_S):
        self.url, self._timeout_s = str(url).rstrip("/"), timeout_s
        scheme = self.url.partition("://")[0]
        package = filesystems.PACKAGES.get(scheme, "fsspec")
        try:
            import fsspec
            from fsspec.implementations.local import LocalFileSystem
            self._fs, self._root = fsspec.core.url_to_fs(self.url, **({"use_listings_cache": False} if package in ("s3fs", "gcsfs") else {}))
        except ImportError as error:
            raise UsageError(f"{self.url}: a device at {scheme}:// needs the package {package}, which isn't installed here: {installing.package(package)}") from error
        except Exception as error:
            raise UsageError(f"{self.url}: fsspec can't use it: {error}") from error
        self._in_files = isinstance(self._fs, LocalFileSystem)
        self._known = Known(self._fs) if package == "s3fs" else None
        self.header = None

    # the whole

    def make(self, capacity):
        """Know the header, and write it where there is none or the device has become larger. Nobody writes meanwhile. StoreError."""
        with self._said("can't be made"):
            for left in Path(self._root).glob(f"*{_PART}") if self._in_files else ():
                left.unlink(missing_ok=True)        # of a writer that was killed
            found = self._header()
            wanted = found or {"format": _FORMAT, "object_nbytes": OBJECT_NBYTES, "capacity": capacity}
            if found is None or found["capacity"] < capacity:
                wanted = {**wanted, "capacity": capacity}
                self._put("header", json.dumps(wanted).encode())
        self.header = wanted

    def find(self):
        """True when there is a device, whose header is known then. StoreError."""
        with self._said("can't be read"):
            self.header = self._header()
        return self.header is not None

    @contextmanager
    def _said(self, what):
        try:
            yield
        except OSError as error:
            if not is_refusal(error):
                raise
            raise StoreError(f"{self.url} {what}: {error.strerror or error}; check the URL, its credentials and the network") from error

    def _header(self):
        try:
            header = json.loads(self._get("header"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreError(f"{self.url}/header is no header of a device ({error}): choose another URL") from error
        if not isinstance(header, dict) or header.get("format") != _FORMAT:
            raise StoreVersion(f"{self.url} is of format {header.get('format') if isinstance(header, dict) else header!r}, this wrp reads {_FORMAT}")
        return header

    def remove(self):
        """Take all of it away. OSError."""
        self._each([("rm", (self._root, True), {})])

    # bytes

    def read(self, offset, view):
        """Fill a memoryview of bytes; OSError where they were never written, or the service fails."""
        parts = list(self._parts(offset, len(view)))
        found = self._each([("cat_file", (self._path(number),), {"start": begin, "end": end}) for number, begin, end, _ in parts])
        for (number, begin, end, at), data in zip(parts, found):
            if len(data) != end - begin:
                raise OSError(errno.ENODATA, f"object {number} ends before byte {end}", self.url)
            view[at:at + end - begin] = data

    def write(self, offset, view, token=lambda number: nullcontext()):
        """Put all of a memoryview. token : gives the context manager in which a part of an object may be changed"""
        whole = []
        for number, begin, end, at in self._parts(offset, len(view)):
            data = view[at:at + end - begin]
            if end - begin == self.header["object_nbytes"]:
                whole.append(("pipe_file", (self._path(number), bytes(data)), {}))
            else:
                with token(number):
                    self._patch(number, begin, data)
        self._each(whole)

    def drop(self, offset, nbytes):
        """Take the objects away that lie wholly in a run; those that were never written aren't missed."""
        size, end = self.header["object_nbytes"], offset + nbytes
        last = -(-end // size) if end == self.header["capacity"] else end // size
        self._remove(range(-(-offset // size), last))

    def keep(self, runs):
        """Take the objects away that hold nothing of these runs, (offset, nbytes) each."""
        size, kept = self.header["object_nbytes"], set()
        for offset, nbytes in runs:
            kept.update(range(offset // size, -(-(offset + nbytes) // size)))
        names = [path.rpartition("/")[2] for path in self._each([("find", (self._root,), {})])[0]]
        self._remove([int(name) for name in names if len(name) == 8 and name.isdigit() and int(name) not in kept])

    def _remove(self, numbers):
        self._each([("rm_file", (self._path(number),), {}) for number in numbers], may_lack=True)

    def _patch(self, number, begin, data):
        for _ in range(TRIES):
            if self._patched(number, begin, data):
                return
        raise OSError(errno.EAGAIN, f"object {number} is put by others again and again", self.url)

    def _patched(self, number, begin, data):
        """Change a part of an object; False when somebody else has put it meanwhile."""
        if self._known is not None:
            self._each([("look", (self._path(number),), {})])
        try:
            old = self._get(f"{number:08}")
        except FileNotFoundError:
            old = b""
        new = bytearray(max(len(old), begin + len(data)))
        new[:len(old)] = old
        new[begin:begin + len(data)] = data
        try:
            self._put(f"{number:08}", bytes(new), **({"tries": 1} if self._known is not None else {}))
        except Changed:
            return False
        return True

    def _parts(self, offset, nbytes):
        """(object, begin and end in it, place among the bytes) of a run."""
        size, at = self.header["object_nbytes"], 0
        while at < nbytes:
            number, begin = divmod(offset + at, size)
            end = min(size, begin + nbytes - at)
            yield number, begin, end, at
            at += end - begin

    def _path(self, number):
        return f"{self._root}/{number:08}"

    # calls of the service

    def _get(self, name):
        return self._each([("cat_file", (f"{self._root}/{name}",), {})])[0]

    def _put(self, name, data, **more):
        if not getattr(self._fs, "async_impl", False):
            self._each([("makedirs", (self._root, True), {})])
        self._each([("pipe_file", (f"{self._root}/{name}", data), more)])

    def _each(self, calls, may_lack=False):
        """Results of calls (method, arguments, named ones), several at once where the file system can. may_lack : objects that aren't there are no error"""
        async def one(method, arguments, more):
            try:
                return await self._coroutine(method)(*arguments, **more)
            except FileNotFoundError:
                if not may_lack:
                    raise
        try:
            if not getattr(self._fs, "async_impl", False):
                return [self._now(may_lack, self._call(method), *arguments, **more) for method, arguments, more in calls]

            async def gathered():
                begun = [asyncio.ensure_future(one(*call)) for call in calls]
                try:
                    return await asyncio.gather(*begun)
                finally:
                    for each in begun:          # after an error of one: a put that went on would put its bytes once more over those of who has the place next
                        each.cancel()
                    await asyncio.gather(*begun, return_exceptions=True)
            return filesystems.run(self._fs, gathered(), self._timeout_s)
        except Changed:
            raise
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, str(error) or "no such object", self.url) from error
        except filesystems.LATE as error:
            raise OSError(errno.ETIMEDOUT, f"it hasn't answered for {self._timeout_s:g} s", self.url) from error
        except Exception as error:
            lacks = filesystems.code(error) in filesystems.BEYOND
            raise OSError(errno.ENODATA if lacks else getattr(error, "errno", None) or errno.EIO, f"{type(error).__name__}: {error}", self.url) from error

    @staticmethod
    def _now(may_lack, method, *arguments, **more):
        try:
            return method(*arguments, **more)
        except FileNotFoundError:
            if not may_lack:
                raise

    def _coroutine(self, method):
        known = {"pipe_file": "put", "rm_file": "remove", "look": "look"}.get(method)
        return getattr(self._known, known) if self._known is not None and known else getattr(self._fs, "_" + method)

    def _call(self, method):
        # fsspec empties a file and writes into it, and puts no names on storage
        own = {"pipe_file": _put_file, "makedirs": lambda path, _: make_folders(path)} if self._in_files else {}
        return own.get(method) or getattr(self._fs, method)

    def close(self):
        """Connections are fsspec's."""


def _put_file(path, data):
    """Have a file hold `data`, on storage, or what it held before."""
    part = f"{path}.{os.getpid()}.{get_native_id()}{_PART}"
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_path(os.path.dirname(path))
    except BaseException:
        with tolerant():
            os.unlink(part)
        raise


class ObjectDevice(HeldDevice):
    """bucket : the Bucket of who has made it, on that process; the first rank of a node does that. No process of another node writes below the URL."""

    kind = "object"
    align = 4096
    first, unit = OBJECT_NBYTES, 64 << 20

    def __init__(self, node, pool, name, url, bucket=None):
        super().__init__(node, pool, name)
        self.path = url
        self._bucket = bucket or opened(url, node.timeout_s)
        at, _ = node.segment.find(f"bdev.{name}.tokens")
        self._tokens = [Token(node.address + at + 64 * number, f"an object of device {name!r}") for number in range(TOKENS)]
        self._timeout_s, self._drops = node.timeout_s, True
        self._hold(self._bucket.close)

    def write(self, offset, data):
        """Put all of `data` (bytes-like, contiguous): the service has it when it returns. OSError, with what the service says."""
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        self._check_range(offset, len(view))
        self._bucket.write(offset, view, self._alone)

    def read(self, offset, out):
        """Fill `out` (writable bytes-like, contiguous); OSError where nobody has written, or with what the service says."""
        view = memoryview(out).cast("B") if len(out) else memoryview(bytearray())
        self._check_range(offset, len(view))
        self._bucket.read(offset, view)

    def _alone(self, number):
        # a holder that died left the object as it was or as it was to be
        return inherited(self._tokens[number % TOKENS], self._timeout_s)

    def move(self, writes, offset, address, nbytes):
        """Copy from or to memory at an address; any thread."""
        view = memoryview((ctypes.c_char * nbytes).from_address(address)).cast("B")
        self.write(offset, view) if writes else self.read(offset, view)

    def _return_whole(self):
        self._drop(*self._leases.first_whole())
        super()._return_whole()

    def _drain(self):
        self._reclaimed()
        self._leases.drain(self._late)
        begin = end = 0                 # objects may lie in neighbours of several leases
        for offset, nbytes, _ in [*self._late, (self.capacity + 1, 0, 0)]:
            if offset != end:
                self._drop(begin, end - begin)
                begin = offset
            end = offset + nbytes
        self._reclaimed()

    def claim(self, runs):
        """As of other devices; objects that hold nothing of these runs, as a process that was killed leaves them, go."""
        super().claim(runs)
        if len(runs):
            self._without(self._bucket.keep, np.asarray(runs, np.int64).reshape(-1, 2).tolist())

    def _drop(self, offset, nbytes):
        # before somebody else can lease it
        if nbytes:
            self._without(self._bucket.drop, offset, nbytes)

    def _without(self, remove, *what):
        """Remove objects; a service that fails isn't waited for again at each run."""
        if self._drops:
            try:
                remove(*what)
            except OSError as error:
                if not is_refusal(error):
                    raise
                self._drops = False
                _log.warning("device %r leaves the objects in its bucket that hold nothing: %s", self.name, error)

    def _back(self, offset, nbytes):
        """A bucket has room until it says otherwise."""


def make_bucket(node, name, asked):
    """The Bucket of a Spec on the process that makes the device. Raises StoreError, UsageError."""
    if asked.path.startswith("memory://") and node.ranks.size > 1:
        raise UsageError(f"device {name!r}: what {asked.path} holds one process sees, and this node has {node.ranks.size} ranks")
    at, _ = node.segment.place(f"bdev.{name}.tokens", 64 * TOKENS)
    node.segment.reserve(at, 64 * TOKENS)
    bucket = Bucket(asked.path, node.timeout_s)
    bucket.make(asked.capacity // ObjectDevice.align * ObjectDevice.align)
    return bucket


def opened(url, timeout_s=TIMEOUT_S):
    """The Bucket of a device that is there. StoreError when it isn't."""
    bucket = Bucket(url, timeout_s)
    if not bucket.find():
        raise StoreError(f"{url}: there is no device of wrp (no object {url}/header)")
    return bucket
