"""Known: what a process knows of a bucket's objects, as conditions of its puts and deletions: they find the object as it is known, or do nothing. For s3fs.

So one that takes effect late, of a writer that was killed in the middle of it, changes nothing that somebody else has put since.
"""

import errno
from functools import partial

from wrp.comm.filesystems import code

TRIES = 8
_REFUSED = ("PreconditionFailed", "412", "NoSuchKey", "ConditionalRequestConflict", "409")
_UNKNOWN = ("NotImplemented", "501")        # of a service that has no such conditions


class Changed(OSError):
    """The object isn't as it was known: somebody else has put it."""


class Known:
    """fs : an S3FileSystem. Its coroutines run in fsspec's thread; raise what s3fs does."""

    def __init__(self, fs):
        self._fs, self._tags, self._unconditional = fs, {}, set()       # kinds of calls for which the service has no conditions

    async def put(self, path, data, tries=TRIES):
        """Put an object. tries : 1: only if it is as it was known before, else Changed"""
        for number in range(tries):
            tag = self._tags.get(path)
            try:
                answer = await self._if({"IfMatch": tag} if tag else {"IfNoneMatch": "*"}, "put", partial(self._fs._pipe_file, path, data))
                self._tags[path] = answer["ETag"]
                return
            except Exception as error:
                if code(error) not in _REFUSED:
                    raise
                # an own put whose answer was lost may be what is there
                await self.look(path)
        raise Changed(errno.EAGAIN, "somebody else puts the same object", path)

    async def look(self, path):
        """Know the object as it is now."""
        try:
            self._tags[path] = (await self._fs._info(path, refresh=True))["ETag"]
        except FileNotFoundError:
            self._tags.pop(path, None)

    async def remove(self, path):
        """Delete an object, unless somebody else has put it since this process knew it."""
        bucket, key, _ = self._fs.split_path(path)
        tag = self._tags.pop(path, None)
        try:
            await self._if({"IfMatch": tag} if tag else {}, "delete", partial(self._fs._call_s3, "delete_object", Bucket=bucket, Key=key))
        except Exception as error:
            if code(error) not in _REFUSED:
                raise

    async def _if(self, condition, kind, call):
        """What a call gives with a condition, or without where the service has none for calls of its kind."""
        if condition and kind not in self._unconditional:
            try:
                return await call(**condition)
            except Exception as error:
                if code(error) not in _UNKNOWN:
                    raise
                self._unconditional.add(kind)
        return await call()
