"""Known: what a process knows of a bucket's objects, as conditions of its puts and deletions: they find the object as it is known, or do nothing. For s3fs.

So one that takes effect late, of a writer that was killed in the middle of it, changes nothing that somebody else has put since.
"""

import errno

TRIES = 8
_REFUSED = ("PreconditionFailed", "412", "NoSuchKey", "ConditionalRequestConflict", "409")
_UNKNOWN = ("NotImplemented", "501")        # of a service that has no conditions


class Changed(OSError):
    """The object isn't as it was known: somebody else has put it."""


class Known:
    """fs : an S3FileSystem. Its coroutines run in fsspec's thread; raise what s3fs does."""

    def __init__(self, fs):
        self._fs, self._tags, self._asks = fs, {}, True

    async def put(self, path, data, tries=TRIES):
        """Put an object. tries : 1: only if it is as it was known before, else Changed"""
        for number in range(tries):
            try:
                tag = self._tags.get(path)
                answer = await self._fs._pipe_file(path, data, **(({"IfMatch": tag} if tag else {"IfNoneMatch": "*"}) if self._asks else {}))
                self._tags[path] = answer["ETag"]
                return
            except Exception as error:
                if _code(error) in _UNKNOWN and self._asks:
                    self._asks = False
                elif _code(error) not in _REFUSED:
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
            await self._fs._call_s3("delete_object", Bucket=bucket, Key=key, **({"IfMatch": tag} if tag and self._asks else {}))
        except Exception as error:
            if _code(error) in _UNKNOWN and tag and self._asks:
                await self._fs._call_s3("delete_object", Bucket=bucket, Key=key)        # it may have conditions for puts all the same
            elif _code(error) not in _REFUSED:
                raise


def _code(error):
    response = getattr(error.__cause__, "response", None) or getattr(error, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None
