"""Puts the waiting functions in the place of Python's: open, os.open, os.stat, os.listdir and their like. Once in a process; for all its threads."""

import builtins
import functools
import io
import os
import sys

from wrp.capio import wire
from wrp.capio.inprocess.growing import Opened, entries
from wrp.capio.inprocess.talk import Talk

_NAMED = ("stat", "lstat", "access")
_installed = []


def install():
    """Begin to intercept in this process, if CAPIO_DIR is set; idempotent."""
    if _installed:
        return
    if not os.environ.get("CAPIO_DIR"):
        if os.environ.get("CAPIO_APP_NAME"):
            print("capio: CAPIO_DIR isn't set, so nothing is streamed: set it to the directory of the workflow's files", file=sys.stderr)
        return
    talk, descriptors = Talk(), {}
    _installed.append(talk)
    _replace_open(talk, descriptors)
    _replace_descriptors(descriptors)
    _replace_looks(talk)
    _replace_folders(talk)
    os.register_at_fork(after_in_child=talk.hello)
    talk.hello()


def _writes(flags):
    return flags & os.O_ACCMODE != os.O_RDONLY or flags & (os.O_CREAT | os.O_TRUNC)


def _replace_open(talk, descriptors):
    plain_open, plain_io = os.open, io.open

    @functools.wraps(plain_open)
    def opens(path, flags, mode=0o777, *, dir_fd=None):
        full = talk.opens(path, dir_fd)
        if full is None or flags & getattr(os, "O_PATH", 0):
            return plain_open(path, flags, mode, dir_fd=dir_fd)
        writes = _writes(flags)
        reply = talk.ask(wire.LIST if flags & os.O_DIRECTORY else wire.WRITE if writes else wire.READ, full, flags)
        try:
            descriptor = _made(plain_open, path, reply.text, flags, mode) if reply.what & wire.REDIRECT else plain_open(path, flags, mode)
        except OSError as error:
            if writes:
                talk.tell(wire.OPENED, full, error.errno)
            raise
        if writes:
            talk.tell(wire.OPENED, full)
        elif reply.what & wire.STREAM and not flags & os.O_DIRECTORY:
            descriptors[descriptor] = Opened(descriptor, talk, full, reply.slot)
        return descriptor

    @functools.wraps(plain_io)
    def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
        if isinstance(file, int):
            found = descriptors.pop(file, None) if "r" in mode and "+" not in mode and closefd else None
            return _layered(found.as_file(), mode, buffering, encoding, errors, newline) if found else \
                plain_io(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if opener is not None or talk.opens(file) is None:
            return plain_io(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if "r" not in mode or "+" in mode:
            return plain_io(file, mode, buffering, encoding, errors, newline, closefd, lambda path, flags: opens(path, flags, 0o666))
        descriptor = opens(file, os.O_RDONLY | os.O_CLOEXEC)
        found = descriptors.pop(descriptor, None)
        if found is None:
            return plain_io(file, mode, buffering, encoding, errors, newline, closefd, lambda *_: descriptor)
        return _layered(found.as_file(), mode, buffering, encoding, errors, newline)

    os.open, io.open, builtins.open = opens, opened, opened


def _made(plain_open, path, there, flags, mode):
    """Open a new file that lies elsewhere, `there`: it is made, then its name, a link. Who was quicker with the name has it."""
    descriptor = plain_open(there, flags | os.O_EXCL, mode)
    try:
        os.symlink(there, path)
        return descriptor
    except OSError as error:
        os.close(descriptor)
        os.unlink(there)
        if not isinstance(error, FileExistsError) or flags & os.O_EXCL:
            raise OSError(error.errno, error.strerror, path) from None
    return plain_open(path, flags, mode)


def _layered(raw, mode, buffering, encoding, errors, newline):
    """What open() would put on top of a raw file."""
    if buffering == 0:
        if "b" not in mode:
            raise ValueError("can't have unbuffered text I/O")
        return raw
    buffered = io.BufferedReader(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
    return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)


def _replace_descriptors(descriptors):
    plain_read, plain_close = os.read, os.close

    @functools.wraps(plain_read)
    def read(fd, n, /):
        found = descriptors.get(fd)
        return found.read(n, plain_read) if found else plain_read(fd, n)

    @functools.wraps(plain_close)
    def close(fd):
        found = descriptors.pop(fd, None)
        if found is not None:
            found.close()
        return plain_close(fd)

    os.read, os.close = read, close


def _replace_looks(talk):
    """Calls that look whether a file is there."""
    def waiting(plain):
        @functools.wraps(plain)
        def look(path, *more, **named):
            full = talk.below(path, named.get("dir_fd"))
            if full is not None:
                talk.ask(wire.STAT, full)
            return plain(path, *more, **named)
        return look

    for name in _NAMED:
        replaced = waiting(getattr(os, name))
        for kind in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd, os.supports_effective_ids):
            if getattr(os, name) in kind:
                kind.add(replaced)
        setattr(os, name, replaced)


class _Scan:
    """As the iterator of os.scandir: also a context manager, with close."""

    def __init__(self, found):
        self._found = found

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._found)

    def close(self):
        self._found.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _at(path, dir_fd):
    """The path that a name beside a folder's descriptor stands for; None: the descriptor is none."""
    try:
        return path if dir_fd is None else os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), os.fsdecode(path))
    except OSError:
        return None


def _replace_folders(talk):
    plain_scandir, plain_listdir, plain_mkdir = os.scandir, os.listdir, os.mkdir

    @functools.wraps(plain_scandir)
    def scandir(path="."):
        full = talk.below(path)
        reply = talk.ask(wire.LIST, full) if full is not None else None
        if reply is None or not reply.what & wire.STREAM:
            return plain_scandir(path)
        return _Scan(entries(lambda: list(plain_scandir(path)), talk, full, reply.slot))

    @functools.wraps(plain_listdir)
    def listdir(path="."):
        full = talk.below(path) if path is not None else None
        reply = talk.ask(wire.LIST, full) if full is not None else None
        if reply is None or not reply.what & wire.STREAM:
            return plain_listdir(path)
        return list(entries(lambda: plain_listdir(path), talk, full, reply.slot))

    @functools.wraps(plain_mkdir)
    def mkdir(path, mode=0o777, *, dir_fd=None):
        plain_mkdir(path, mode, dir_fd=dir_fd)
        full = talk.below(path, dir_fd)
        if full is not None:
            talk.ask(wire.MKDIR, full)

    def renaming(plain):
        @functools.wraps(plain)
        def rename(src, dst, *, src_dir_fd=None, dst_dir_fd=None):
            source, path = (talk.below(_at(name, dir_fd)) for name, dir_fd in ((src, src_dir_fd), (dst, dst_dir_fd)))
            if source or path:
                talk.ask(wire.RENAME, source or "", path2=path or "")
            return plain(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        return rename

    os.scandir, os.listdir, os.mkdir, os.rename, os.replace = scandir, listdir, mkdir, renaming(os.rename), renaming(os.replace)
    for before, after in ((plain_scandir, scandir), (plain_listdir, listdir)):
        if before in os.supports_fd:
            os.supports_fd.add(after)
    os.supports_dir_fd.update((mkdir, os.rename, os.replace))
