"""The kernel's side of seccomp user notification through ctypes: the filter is installed, calls are received and answered. Decides nothing about paths."""

import ctypes
import errno
import fcntl
import os
import struct
from dataclasses import dataclass

from wrp.capio.seccomp import calls

_NO_NEW_PRIVS, _SET_FILTER, _NEW_LISTENER = 38, 1, 1 << 3
_RECEIVE, _SEND, _IS_VALID, _ADD = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103
_NOTICE, _ANSWER, _DESCRIPTOR = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI"), struct.Struct("=QIIII")
_CONTINUE, _AT_NUMBER, _AND_ANSWER = 1, 1, 2


@dataclass(slots=True)
class Notice:
    """A call that is held: `what` (a name in calls), its arguments as words, the thread; `fd`: the descriptor that it is about, None where it names a file."""

    number: int
    thread: int
    what: str
    arguments: tuple
    fd: int | None = None


def install(with_input=False):
    """Hold this process's calls, and those of all it starts, from now on, for whoever has the descriptor that is returned. OSError.
    `with_input`: also those on the standard input."""
    libc = ctypes.CDLL(None, use_errno=True)
    code, count = calls.program(with_input)
    program = struct.pack("=HxxxxxxQ", count, ctypes.addressof(kept := ctypes.create_string_buffer(code, len(code))))
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs is refused")
    listener = libc.syscall(ctypes.c_long(calls.machine().seccomp), _SET_FILTER, _NEW_LISTENER, ctypes.create_string_buffer(program, len(program)))
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
    here = calls.machine()
    if call in here.numbered:
        what, place = here.numbered[call]
        return Notice(number, thread, what, tuple(arguments), arguments[place] & 0xFFFFFFFF)
    return Notice(number, thread, here.named.get(call, ""), tuple(arguments))


def is_held(listener, notice):
    """True while the call still waits for its answer; what was read from the thread's memory before is of this call then."""
    try:
        fcntl.ioctl(listener, _IS_VALID, struct.pack("=Q", notice.number))
        return True
    except OSError:
        return False


def answer(listener, notice, error=0):
    """Let the call go on as it is, or end it with an errno. False where it isn't held any more."""
    try:
        fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(notice.number, 0, -error, 0 if error else _CONTINUE)))
        return True
    except OSError as gone:
        if gone.errno != errno.ENOENT:
            raise
        return False


def give(listener, notice, file, number, is_closed_by_exec):
    """End the call, an open, with a copy of this process's descriptor `file` as `number`, None: the lowest that is free. OSError: not by this kernel (Linux 5.14
    does), not a number that its process may have, or it is gone."""
    at = (_AND_ANSWER, file, 0) if number is None else (_AT_NUMBER | _AND_ANSWER, file, number)
    fcntl.ioctl(listener, _ADD, _DESCRIPTOR.pack(notice.number, *at, os.O_CLOEXEC if is_closed_by_exec else 0))


def word(thread, address):
    """The word at an address of a thread's memory."""
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as file:
        file.seek(address)
        return struct.unpack("=Q", file.read(8))[0]
