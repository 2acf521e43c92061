"""Which system calls are held, on each kind of machine, and the filter that tells the kernel. Holds none itself.

Calls that name files are held always. Calls on a descriptor are held where its number is one of those that only files which grow are given: a filter sees
numbers, not files, and can't be changed while a program runs. Of steps that may read such a file they are held on the standard input too, which a shell
makes of one for a program, and dd for itself.
"""

import functools
import platform
import struct
from dataclasses import dataclass

from wrp.errors import StoreError

FIRST, LAST = 768, 1024         # numbers of descriptors of files that grow: above what programs use, below the limits of select() and most users
INPUT = 0
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _JUMP_EQUAL, _JUMP_NOT_LESS, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _AUDIT_AT, _ARGUMENTS_AT = 0, 4, 16


@dataclass(frozen=True)
class Machine:
    """`audit`: its word in the kernel's records; `seccomp`: the number of that call; `named`: {number: what} of calls that name files; `numbered`: {number:
    (what, which argument is the descriptor)}."""

    audit: int
    seccomp: int
    named: dict
    numbered: dict


_MACHINES = {
    "x86_64": Machine(0xC000003E, 317, {
        2: "open", 4: "stat", 6: "stat", 21: "access", 82: "rename", 83: "mkdir", 85: "creat", 257: "openat", 258: "mkdirat", 262: "fstatat",
        264: "renameat", 269: "faccessat", 316: "renameat", 332: "fstatat", 437: "openat2", 439: "faccessat"}, {
        0: ("read", 0), 19: ("read", 0), 17: ("pread", 0), 295: ("pread", 0), 327: ("pread", 0), 40: ("sendfile", 1), 275: ("splice", 0), 326: ("splice", 0),
        8: ("lseek", 0), 9: ("mmap", 4), 32: ("dup", 0), 33: ("dup2", 0), 292: ("dup2", 0), 72: ("fcntl", 0)}),
    "aarch64": Machine(0xC00000B7, 277, {
        34: "mkdirat", 38: "renameat", 48: "faccessat", 56: "openat", 79: "fstatat", 276: "renameat", 291: "fstatat", 437: "openat2", 439: "faccessat"}, {
        63: ("read", 0), 65: ("read", 0), 67: ("pread", 0), 69: ("pread", 0), 286: ("pread", 0), 71: ("sendfile", 1), 76: ("splice", 0), 285: ("splice", 0),
        62: ("lseek", 0), 222: ("mmap", 4), 23: ("dup", 0), 24: ("dup2", 0), 25: ("fcntl", 0)}),
}


_PER_PLACE = 3                  # lines of the filter for an argument
_CHOOSES = {"dup2": 1, "fcntl": 2}      # which argument is the number that the program chooses for a copy


@functools.cache
def machine():
    """The Machine that this is; StoreError where there is none."""
    found = _MACHINES.get(platform.machine())
    if found is None:
        raise StoreError(f"seccomp: this way knows no {platform.machine()}; use another one")
    return found


def program(with_input):
    """(code, number of its lines) of the filter. `with_input`: it holds calls on the standard input."""
    here = machine()
    kinds = sorted({_places(what, place) for what, place in here.numbered.values()})
    checks = len(here.numbered) + len(here.named)
    blocks, line = {}, checks + 1              # lines after the first check
    for places in kinds:
        blocks[places] = line
        line += _PER_PLACE * len(places) + with_input + 1
    notify = line
    targets = [(number, blocks[_places(*found)]) for number, found in sorted(here.numbered.items())] + [(number, notify) for number in sorted(here.named)]
    code = [(_LOAD, 0, 0, _AUDIT_AT), (_JUMP_EQUAL, 1, 0, here.audit), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _NUMBER_AT)]
    code += [(_JUMP_EQUAL, target - line - 1, 0, number) for line, (number, target) in enumerate(targets)]
    code.append((_RETURN, 0, 0, _ALLOW))
    for places in kinds:
        code += _block(places, with_input, blocks[places], notify)
    code.append((_RETURN, 0, 0, _NOTIFY))
    return b"".join(struct.pack("=HBBI", *line) for line in code), len(code)


def _places(what, place):
    """The arguments of a call that are numbers of descriptors: the one that it is about first."""
    return (place, _CHOOSES[what]) if what in _CHOOSES else (place,)


def _block(places, with_input, line, notify):
    """The lines that hold a call if one of these arguments is such a number, and let it go on otherwise."""
    code = []
    for order, place in enumerate(places):
        code.append((_LOAD, 0, 0, _ARGUMENTS_AT + 8 * place))
        if with_input and not order:
            code.append((_JUMP_EQUAL, notify - line - len(code) - 1, 0, INPUT))
        code.append((_JUMP_NOT_LESS, 0, 1, FIRST))
        code.append((_JUMP_NOT_LESS, 0, notify - line - len(code) - 1, LAST))
    return [*code, (_RETURN, 0, 0, _ALLOW)]
