"""Source and destination URLs of job files: `protocol://path` or `protocol::path`, and HDF5's selector behind a path."""

import os

from wrp.errors import JobFileError


def parse(url):
    """(protocol, path) of a URL: `://` is looked for first, then `::`; JobFileError when neither is there."""
    for mark in ("://", "::"):
        protocol, found, path = url.partition(mark)
        if found and protocol:
            return protocol, path
    raise JobFileError(f"{url!r} is not a URL; write protocol::path, for example file::data.bin")


def tag_of(dst):
    """The tag named by a destination `iowarp::tag`; JobFileError for anything else."""
    protocol, tag = parse(dst)
    if protocol != "iowarp":
        raise JobFileError(f"destination {dst!r} has protocol {protocol!r}; only iowarp::tag can be written")
    if not tag.strip("/"):
        raise JobFileError(f"destination {dst!r} names no tag; write iowarp::tag")
    return tag


def split_selector(path):
    """(file, selector) of `file.h5:/group`: split where the part before `:/` exists as a file; else (path, "")."""
    if not os.path.exists(path):
        at = path.find(":/")
        while at > 0:
            if os.path.isfile(path[:at]):
                return path[:at], path[at + 1:]
            at = path.find(":/", at + 1)
    return path, ""


def beside(src, folder):
    """`src` as it is; or, when its relative path leads nowhere from here but does from `folder`, the URL from there."""
    protocol, path = parse(src)
    if os.path.isabs(path) or _leads_somewhere(path):
        return src
    there = os.path.join(folder, path)
    return f"{protocol}::{there}" if _leads_somewhere(there) else src


def _leads_somewhere(path):
    return os.path.exists(split_selector(path)[0])
