"""Readers in a directory that the nodes share, who were told of bytes that its file system doesn't show here yet: held, for a time."""

import errno
import os
from dataclasses import dataclass

from wrp.capio import wire

_ALL = 1 << 63


@dataclass
class Held:
    """A reader whose question has its answer. `wanted`: bytes (entries of a directory) without which it would ask again at once."""

    connection: object
    path: str
    is_directory: bool
    wanted: int
    reply: object
    since: float


class Lagging:
    """Held readers. `limit_s`: after which the wait ends with EIO."""

    def __init__(self, limit_s):
        self._held, self._limit_s = [], limit_s

    def __bool__(self):
        return bool(self._held)

    def hold(self, connection, request, wanted, reply, at):
        """Answer with this reply when what is wanted is here."""
        self._held.append(Held(connection, request.path, bool(request.path2), wanted, reply, at))

    def look(self, at):
        """Answer those who can go on, or have waited too long."""
        for held in list(self._held):
            found = there(held.path, held.is_directory)
            if found >= held.wanted or at - held.since >= self._limit_s:
                self._held.remove(held)
                held.connection.send(held.reply if found >= held.wanted else wire.Reply(error=errno.EIO, text=self._sentence(held, found)))

    def _sentence(self, held, found):
        what = "entries" if held.is_directory else "bytes"
        return (f"{held.path} has {held.wanted} {what} or more on the node where it is written, of which {found} are seen here after {self._limit_s:g} s "
                "(CAPIO_SILENT_S): the file system that the nodes share is too late, or lost them")


def there(path, is_directory):
    """How many bytes, or entries, are seen here; as many as may be of what is gone: nothing more comes."""
    try:
        return len(os.listdir(path)) if is_directory else os.stat(path).st_size
    except OSError:
        return _ALL
