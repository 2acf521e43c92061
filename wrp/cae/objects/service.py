"""What a service says of one object, and ranges of its bytes, through fsspec (s3:// by s3fs, gs:// by gcsfs, and so on). Every wait has a deadline."""

import asyncio
import os
from contextlib import contextmanager
from functools import lru_cache
from threading import get_ident

from wrp.cae.url import shown, shown_in
from wrp.comm import filesystems, installing
from wrp.comm.ranks.group import timeout_from_environment
from wrp.errors import SourceError, SourceMissing

_AT_ONCE = 8                            # ranges that are on their way
_TRIES = 3                              # of a range whose bytes stop coming
# what fsspec's file systems tell about an object that isn't the same any more when the object isn't
_MARKS = ("ETag", "etag", "VersionId", "generation", "LastModified", "Last-Modified", "last_modified", "mtime", "updated", "created", "md5Hash", "Content-MD5", "Digest")


class Service:
    """One object. Local; SourceMissing and SourceError have a sentence for what the service says.

    options : of S3, pairs: `profile`, `region`
    """

    def __init__(self, url, options=()):
        self._url, self._shown = url, shown(url)
        # the others wait for this rank as long as that
        self._timeout_s = timeout_from_environment() / 2
        protocol = url.partition("://")[0]
        try:
            import fsspec

            kind = fsspec.get_filesystem_class(protocol)
            self._path = kind._strip_protocol(url)
            self._fs = self._made(kind, {**kind._get_kwargs_from_urls(url), **_of_fsspec(dict(options))})
        except (ImportError, ValueError) as error:
            package = filesystems.PACKAGES.get(protocol, "fsspec")
            raise SourceError(f"{self._shown}: fsspec can't use it ({shown_in(str(error))}); install what it wants, for {protocol}:// {installing.package(package)}") from error
        self._is_s3 = protocol in ("s3", "s3a")
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def look(self):
        """(bytes, what tells this state of the object from another one)."""
        with self._told():
            self._fs.invalidate_cache(self._path)
            found = self._wait(filesystems.begin(self._fs, self._fs._info(self._path))) if self._is_async else self._now(self._fs.info, self._path)
        if found["type"] != "file":
            raise SourceError(f"{self._shown} is no object but what is above some; name one object")
        if found["size"] is None:
            raise SourceError(f"{self._shown}: the service doesn't say how many bytes it has")
        return int(found["size"]), tuple((name, str(found[name])) for name in _MARKS if found.get(name) not in (None, ""))

    def begin(self, start, nbytes, tag):
        """Ask for a range; what `get` takes. tag : the ETag that the object has to have, "" for any"""
        return filesystems.begin(self._fs, self._ranged(start, start + nbytes, tag)) if self._is_async else None

    def get(self, start, nbytes, tag, begun=None):
        """The bytes of a range, which `begin` may have been asked for."""
        with self._told():
            if self._is_async:
                data = self._wait(begun or self.begin(start, nbytes, tag))
            else:
                data = self._now(self._fs.cat_file, self._path, start=start, end=start + nbytes)
        if len(data) != nbytes:
            raise SourceError(f"{self._shown} gave {len(data)} bytes from byte {start} on where {nbytes} were asked for; it was cut short, or the service gives no ranges")
        return data

    @property
    def _is_async(self):
        return getattr(self._fs, "async_impl", False)

    def _made(self, kind, options):
        with self._told():
            # an asynchronous one asks nobody yet, another one may have to connect
            return kind(**options) if kind.async_impl else self._now(_connected, kind, tuple(options.items()), get_ident(), os.getpid())

    def _wait(self, begun):
        return filesystems.ended(begun, self._timeout_s)

    def _now(self, call, *arguments, **named):
        try:
            return filesystems.within(self._timeout_s, call, *arguments, **named)
        except filesystems.LATE:
            _connected.cache_clear()        # it may still wait for that answer
            raise

    async def _ranged(self, start, stop, tag):
        async with self._slots:
            if not (self._is_s3 and tag):
                return await self._fs._cat_file(self._path, start=start, end=stop)
            bucket, key, version = self._fs.split_path(self._path)
            more = {"VersionId": version} if version else {}
            for left in reversed(range(_TRIES)):
                answer = await self._fs._call_s3("get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}", IfMatch=tag, **more)
                try:
                    return await answer["Body"].read()
                except Exception:
                    if not left:
                        raise
                finally:
                    answer["Body"].close()

    @contextmanager
    def _told(self):
        try:
            yield
        except (SourceError, ImportError):
            raise
        except FileNotFoundError:
            raise SourceMissing(f"{self._shown} does not exist; check the bucket and the key") from None
        except filesystems.LATE as error:
            raise SourceError(f"{self._shown}: the service hasn't answered for {self._timeout_s:g} s; check the network, or raise WRP_TIMEOUT_S") from error
        except Exception as error:
            if filesystems.code(error) in filesystems.CHANGED + filesystems.BEYOND:
                raise changed(self._shown) from error
            text = shown_in(" ".join(str(error).replace(self._url, self._shown).split()))
            raise SourceError(f"{self._shown} can't be read ({type(error).__name__}: {text}); check the URL, its credentials and the network") from error


@lru_cache(maxsize=4)
def _connected(kind, options, thread, process):
    """A file system that isn't asynchronous, kept for a thread: calls of another one may be made anywhere, and fsspec keeps those of the thread that makes them."""
    return kind(**dict(options), skip_instance_cache=True)


def _of_fsspec(options):
    """The options as s3fs calls them."""
    region = options.pop("region", None)
    return {**options, "client_kwargs": {"region_name": region}} if region else options


def changed(path):
    """The error of an object that isn't what it was."""
    return SourceError(f"{path} was changed while it was being read; take it in again once it is complete")
