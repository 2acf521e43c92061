"""The normal form of a path, by which files are known to the rules. Lexical: follows no link, but for the names of descriptors."""

import os
import re
from os import readlink, stat          # as they are before anybody replaces them

_DESCRIPTOR = re.compile("/dev/(?:(stdin|stdout|stderr)|fd/([0-9]+))|/proc/([^/]+)/fd/([0-9]+)")
_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}


def normal(path):
    """The path without "." and "..", and with single slashes, also at its beginning, where os.path.normpath leaves two."""
    path = os.path.normpath(path)
    return path[1:] if path.startswith("//") else path


def reopened(path, process="self"):
    """The path of the file that is opened once more by the name of a descriptor, as /dev/stdin, in a process; None of any other name, and where the file has
    lost its own."""
    found = _DESCRIPTOR.fullmatch(path)
    if found is None:
        return None
    stream, number, other, its = found.groups()
    link = f"/proc/{process if other in (None, 'self', 'thread-self') else other}/fd/{number or its or _STREAMS[stream]}"
    try:
        at = readlink(link)
        return at if os.path.samestat(stat(link), stat(at)) else None
    except OSError:
        return None
