"""Source and destination URLs of job files: `protocol://path` or `protocol::path`, and HDF5's selector behind a path."""

import os
import re
import unicodedata

from wrp.cae import registry
from wrp.errors import JobFileError

_CONTROL = ("Cc", "Zl", "Zp")           # kinds of characters of Unicode
_IN_TEXT = re.compile(r"[\w+.-]+://[^\s'\"<>]+")


def parse(url):
    """(protocol, path) of a URL: `://` is looked for first, then `::`; JobFileError when neither is there."""
    for mark in ("://", "::"):
        protocol, found, path = url.partition(mark)
        if found and protocol:
            return protocol, path
    raise JobFileError(f"{url!r} is not a URL; write protocol::path, for example file::data.bin")


def shown(url):
    """A URL as messages name it: without user, password and query, which may be secret."""
    protocol, found, path = url.partition("://" if "://" in url else "::")
    if not found or protocol in ("file", "hdf5", "kvhdf5", "string"):
        return url
    bare, query, _ = path.partition("?")
    host, slash, key = bare.partition("/")
    return protocol + found + host.rpartition("@")[2] + slash + key + (query and "?...")


def shown_in(text):
    """A text of somebody else's in which every URL is as `shown`."""
    return _IN_TEXT.sub(lambda found: shown(found[0]), text)


def tag_of(dst):
    """The tag named by a destination `iowarp::tag`; JobFileError for anything else."""
    try:
        protocol, tag = parse(dst)
    except JobFileError:
        bare = dst.removeprefix("iowarp").lstrip(":/")
        raise JobFileError(f"destination {dst!r} is not a URL; did you mean {'iowarp::' + (bare or 'tag')!r}?") from None
    if protocol != "iowarp":
        raise JobFileError(f"destination {dst!r} has protocol {protocol!r}; only iowarp::tag can be written")
    if not tag.strip("/"):
        raise JobFileError(f"destination {dst!r} names no tag; write iowarp::tag")
    if has_control(tag):
        raise JobFileError(f"destination {dst!r} has a line break or another control character in its tag; leave it out")
    return tag


def has_control(text):
    """Whether there is a line break or another control character in it."""
    return any(unicodedata.category(letter) in _CONTROL for letter in text)


def split_selector(path):
    """(file, selector) of `file.h5:/group`: split where the part before `:/` exists as a file; else (path, "")."""
    if not os.path.exists(path):
        at = path.find(":/")
        while at > 0:
            if os.path.isfile(path[:at]):
                return path[:at], path[at + 1:]
            at = path.find(":/", at + 1)
    return path, ""


def hints(src, folder=""):
    """What may be wrong with a source that isn't there, each as `; ...`. `folder`: where it was looked for besides here."""
    protocol, path = parse(src)
    found = []
    if registry.is_remote(protocol):
        return ""
    if folder and not os.path.isabs(path) and os.path.abspath(folder) != os.getcwd():
        found.append(f"looked beside the job file too: {os.path.join(folder, path)}")
    if any(letter in path for letter in "*?~"):
        found.append("patterns and ~ are not expanded")
    at = path.find(":")
    while protocol == "hdf5" and at > 0:
        for start in ("", folder):
            if os.path.isfile(os.path.join(start, path[:at])):
                found.append(f"did you mean {protocol}::{path[:at]}:/{path[at + 1:].lstrip('/')}?")
                return "".join("; " + hint for hint in found)
        at = path.find(":", at + 1)
    return "".join("; " + hint for hint in found)


def beside(src, folder):
    """`src` as it is; or, when its relative path leads nowhere from here but does from `folder`, the URL from there."""
    protocol, path = parse(src)
    if protocol == "string" or registry.is_remote(protocol) or os.path.isabs(path) or _leads_somewhere(path):
        return src
    there = os.path.join(folder, path)
    return f"{protocol}::{there}" if _leads_somewhere(there) else src


def _leads_somewhere(path):
    return os.path.exists(split_selector(path)[0])
