"""The kernel's side of seccomp user notification through ctypes: the filter, and the two records. Decides nothing about paths."""

import ctypes
import errno
import fcntl
import os
import platform
import struct
from dataclasses import dataclass

from wrp.errors import StoreError

# (audit word, number of seccomp itself, {number: (what, arguments that say which path)}) of each kind of machine
_X86 = (0xC000003E, 317, {
    2: "open", 4: "stat", 6: "stat", 21: "access", 82: "rename", 83: "mkdir", 85: "creat", 257: "openat", 258: "mkdirat", 262: "fstatat",
    264: "renameat", 269: "faccessat", 316: "renameat", 332: "fstatat", 437: "openat2", 439: "faccessat"})
_ARM = (0xC00000B7, 277, {
    34: "mkdirat", 38: "renameat", 48: "faccessat", 56: "openat", 79: "fstatat", 276: "renameat", 291: "fstatat", 437: "openat2", 439: "faccessat"})
_MACHINES = {"x86_64": _X86, "aarch64": _ARM}

_NO_NEW_PRIVS, _SET_FILTER, _NEW_LISTENER = 38, 1, 1 << 3
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_NOTICE, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_CONTINUE = 1


@dataclass(slots=True)
class Notice:
    """A call that is held: `what` (a name above), its arguments as words, the thread."""

    number: int
    thread: int
    what: str
    arguments: tuple


def machine():
    """The row of this machine; StoreError where there is none."""
    found = _MACHINES.get(platform.machine())
    if found is None:
        raise StoreError(f"seccomp: this way knows no {platform.machine()}; use another one")
    return found


def _program():
    audit, _, calls = machine()
    numbers = sorted(calls)
    code = [(_LOAD, 0, 0, 4), (_JUMP_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, 0)]
    code += [(_JUMP_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    return b"".join(struct.pack("=HBBI", *line) for line in code), len(code)


def install():
    """Hold this process's calls, and those of all it starts, from now on, for whoever has the descriptor that is returned. OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    code, count = _program()
    program = struct.pack("=HxxxxxxQ", count, ctypes.addressof(kept := ctypes.create_string_buffer(code, len(code))))
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs is refused")
    listener = libc.syscall(ctypes.c_long(machine()[1]), _SET_FILTER, _NEW_LISTENER, ctypes.create_string_buffer(program, len(program)))
    del kept
    if listener < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return listener


def receive(listener):
    """The next Notice, or None when its thread is gone already."""
    record = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, record)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    number, thread, _, call, _, _, *arguments = _NOTICE.unpack(record)
    return Notice(number, thread, machine()[2].get(call, ""), tuple(arguments))


def is_held(listener, notice):
    """True while the call still waits for its answer; what was read from the thread's memory before is of this call then."""
    try:
        fcntl.ioctl(listener, _IS_VALID, struct.pack("=Q", notice.number))
        return True
    except OSError:
        return False


def answer(listener, notice, error=0):
    """Let the call go on as it is, or end it with an errno. A thread that has gone doesn't mind."""
    try:
        fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(notice.number, 0, -error, 0 if error else _CONTINUE)))
    except OSError as gone:
        if gone.errno != errno.ENOENT:
            raise
