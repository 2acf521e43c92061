"""Files that grow while held programs read them: each is opened for the program, under a number that the filter knows, and its reads are looked at.

A read that finds bytes goes on as it is; one at the end waits until there is more, or the file is complete. What must see all of the file waits for its end.
"""

import errno
import mmap
import os
import resource
import stat
import threading

from wrp.capio.seccomp import calls, kernel
from wrp.capio.seccomp.kernel import word
from wrp.capio.server.depot import lies_at

NEVER = (1 << 63) - 1
_KEPT = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME
_COPIES = (0, 1030)             # F_DUPFD, F_DUPFD_CLOEXEC
_MOST_KEPT = 256                # files, and processes, that are kept before those that are gone are looked for
_MARGIN = 256                   # numbers that a program may take while it is given one


class Growing:
    """The files of one supervisor, and of its Waits."""

    def __init__(self, listener, waits):
        self._listener, self._waits, self._paths = listener, waits, {}
        self._lock, self._chosen = threading.Lock(), {}         # chosen: {process: the numbers that it has chosen itself}
        self._room = _MOST_KEPT

    def give(self, wait, path, flags):
        """End an open with a descriptor of the file. False where it can't be, so that it has to be whole. OSError: what the open itself would say."""
        file = os.open(lies_at(path), os.O_RDONLY | os.O_CLOEXEC | flags & _KEPT)
        try:
            status = os.fstat(file)
            if stat.S_ISDIR(status.st_mode):
                return False
            with self._waits.answering(wait) as notice, self._lock:
                self._keep(_life(status), path)
                number = _free_number(notice.thread, self._chosen.get(_process(notice.thread), ()))
                kernel.give(self._listener, notice, file, number, flags & os.O_CLOEXEC)
            return True
        except OSError:
            return False
        finally:
            os.close(file)

    def _keep(self, life, path):
        """Know a file from now on. Of one whose name is gone there may be more; one whose name another has is over."""
        if len(self._paths) >= self._room:
            self._paths = {life: known for life, known in list(self._paths.items()) if _now(known) in (life, None)}
            self._room = max(_MOST_KEPT, 2 * len(self._paths))
        self._paths[life] = path

    def wanted(self, notice):
        """(path, upto) of a held call on a descriptor that has to wait for byte `upto`, NEVER: for the end of the file; None: it goes on."""
        self._choose(notice)
        if not self._paths:
            return None
        status = os.stat(f"/proc/{notice.thread}/fd/{notice.fd}")
        path = self._paths.get(_life(status))
        if path is not None and _is_other(path, status):
            return None                 # there will be no more of this one
        upto = _UPTO[notice.what](notice) if path is not None else None
        return None if upto is None or upto <= status.st_size else (path, upto)

    def _choose(self, notice):
        """The numbers that a call chooses for a copy are the program's own from now on, before it has them."""
        if notice.what == "dup2":
            first, end = notice.arguments[1] & 0xFFFFFFFF, (notice.arguments[1] & 0xFFFFFFFF) + 1
        elif notice.what == "fcntl" and _is_copy(notice):
            first, end = notice.arguments[2] & 0xFFFFFFFF, calls.LAST           # the lowest from there on that is free
        else:
            return
        if calls.FIRST <= first < calls.LAST:
            with self._lock:
                if len(self._chosen) >= _MOST_KEPT:
                    self._chosen = {process: numbers for process, numbers in self._chosen.items() if os.path.exists(f"/proc/{process}")}
                self._chosen.setdefault(_process(notice.thread), set()).update(range(first, end))

    def is_there(self, notice, path, upto):
        """True when the call may go on, for all that the file holds by now, or as its name is another file's."""
        try:
            status = os.stat(f"/proc/{notice.thread}/fd/{notice.fd}")
        except OSError:
            return True             # the program is gone
        return status.st_size >= upto or _is_other(path, status)

    def is_complete(self, notice):
        """Nothing waits any more for the file that the call is about."""
        try:
            self._paths.pop(_life(os.stat(f"/proc/{notice.thread}/fd/{notice.fd}")), None)
        except OSError:
            pass                    # the program is gone


def _life(status):
    """What tells a file from others that had its name, or have it later."""
    return status.st_dev, status.st_ino


def _now(path):
    """The life of the file that has the name now, None."""
    try:
        return _life(os.stat(path))
    except OSError:
        return None


def _is_other(path, status):
    """True when another file has the name now, or the file another name."""
    now = _now(path)
    return now != _life(status) and (now is not None or status.st_nlink > 0)


def _process(thread):
    """The process of a thread, for as long as it is there."""
    with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Tgid"))


def _free_number(thread, chosen=()):
    """The highest number: what the program opens meanwhile takes the lowest, and the kernel, when it gives one, asks nobody whether it is free. None of those that
    the program has chosen itself, which it may be about to take. OSError: there is none, or so few below it that the program may come to it meanwhile."""
    used = {int(name) for name in os.listdir(f"/proc/{thread}/fd")} | set(chosen)
    most, _ = resource.prlimit(thread, resource.RLIMIT_NOFILE)
    end = calls.LAST if most == resource.RLIM_INFINITY else min(calls.LAST, most)
    found = next((number for number in range(end - 1, calls.FIRST - 1, -1) if number not in used), None)
    if found is None or found - sum(number < found for number in used) < _MARGIN:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return found


def _position(notice):
    with open(f"/proc/{notice.thread}/fdinfo/{notice.fd}", "rb", buffering=0) as file:
        return int(file.read(64).split()[1]) + 1


def _at_address(address, notice):
    """Where a copy inside the kernel begins: at the number at this address, or at the descriptor's own position."""
    return word(notice.thread, address) + 1 if address else _position(notice)


def _is_copy(notice):
    """True for an fcntl that copies: only half of the word is the command."""
    return notice.arguments[1] & 0xFFFFFFFF in _COPIES


def _copy_to(number):
    """A copy under a number that the filter doesn't know isn't seen: it is made of a whole file only."""
    return None if calls.FIRST <= number & 0xFFFFFFFF < calls.LAST else NEVER


# what each call needs before it goes on: a byte, all, or None, nothing
_UPTO = {
    "read": _position,
    "pread": lambda notice: notice.arguments[3] + 1 if notice.arguments[3] < NEVER else _position(notice),      # preadv2 takes -1
    "sendfile": lambda notice: _at_address(notice.arguments[2], notice),
    "splice": lambda notice: _at_address(notice.arguments[1], notice),
    "lseek": lambda notice: NEVER if notice.arguments[2] & 0xFFFFFFFF not in (os.SEEK_SET, os.SEEK_CUR) else None,
    "mmap": lambda notice: None if notice.arguments[3] & mmap.MAP_ANONYMOUS else NEVER,
    "dup": lambda notice: NEVER,
    "dup2": lambda notice: _copy_to(notice.arguments[1]) if notice.arguments[1] & 0xFFFFFFFF != calls.INPUT else None,
    "fcntl": lambda notice: _copy_to(notice.arguments[2]) if _is_copy(notice) else None,
}
