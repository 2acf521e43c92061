"""Who uses a store's folder: one writing job, or any number of reading ones.

Two flock()ed files, because the kernel gives a lock back when its holder dies. `lock` is held by rank 0 of the job, exclusively by a writer,
shared by readers. `members` is held, shared, by every rank of a writing job: a new writer waits until the last rank of a killed one
is gone, so nobody writes into space that the new job considers free.
"""

import fcntl
import json
import os
import socket
import time
from contextlib import suppress

from wrp.comm.refusals import tolerant
from wrp.errors import StoreBusy, StoreError, WrpError

MEMBERS_WAIT_S = 10.0
READERS_WAIT_S = 5.0


class FolderLock:
    """The locks that this process holds on one folder."""

    def __init__(self, path):
        self._path = path
        self._held = {}
        self._writer = None             # descriptor of `lock` while this process is the writing job's rank 0

    def take(self, write):
        """Hold the folder for this job, or raise StoreBusy: at once when another job writes, after some seconds when
        others read. Rank 0 only."""
        how = fcntl.LOCK_EX if write else fcntl.LOCK_SH
        descriptor = self._open("lock", write)
        deadline = time.monotonic() + READERS_WAIT_S
        while not _locked(descriptor, how):
            readers = write and _locked(descriptor, fcntl.LOCK_SH)
            if not readers or time.monotonic() > deadline:
                if _holding(descriptor).count(os.getpid()) > readers:       # whose own lock is one of the readers'
                    raise StoreBusy(f"store {self._path} is open in this process already: use what has opened it, or close that first (a Store, a wrp:// path, a ContextInterface)")
                who = "being read by another process" if readers else f"in use by {_holder(descriptor)}"
                raise StoreBusy(f"store {self._path} is {who}: wait for it to end, or choose another folder (--store of a command)")
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(0.05)
        if write:
            self._writer = descriptor
            _note(descriptor, json.dumps(_ourselves()).encode())
            self._outlive_members()

    def join(self):
        """Be counted as a rank of the writing job. Every rank, after `take` on rank 0."""
        fcntl.flock(self._open("members", True), fcntl.LOCK_SH)

    def release(self):
        """Give every lock back; idempotent."""
        if self._writer is not None:
            _note(self._writer, b"")                # nobody is to be told of a holder that has gone
        for descriptor in self._held.values():
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may have the descriptor, too, and live on
        self.leave()

    def leave(self):
        """Close what this process has of the locks; another one that has the same descriptors, as the parent of a forked child, keeps them."""
        while self._held:
            os.close(self._held.popitem()[1])
        self._writer = None

    def _outlive_members(self):
        descriptor = self._open("members", True)
        deadline = time.monotonic() + MEMBERS_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreBusy(f"store {self._path}: ranks of an earlier job, whose first rank is gone or has let go of it, still have it open after "
                                    f"{MEMBERS_WAIT_S:.0f} s{_named(_holding(descriptor))}: end them, then try again") from None
                time.sleep(0.05)
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _open(self, name, write):
        if name not in self._held:
            flags = os.O_RDWR | os.O_CREAT if write else os.O_RDONLY
            try:
                self._held[name] = os.open(os.path.join(self._path, name), flags | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise StoreError(f"store {self._path} can't be locked: {error.strerror} ({name})") from error
        return self._held[name]


def _locked(descriptor, how):
    """True when the lock could be had at once."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holding(descriptor):
    """Pids of this machine's processes that have a lock on the file, as far as the system says."""
    found, status = [], os.fstat(descriptor)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with tolerant(), open("/proc/locks", encoding="ascii") as lines:
        for _, kind, _, _, pid, place, *_ in (line.split() for line in lines if "->" not in line):
            if (kind, place) == ("FLOCK", file):
                found.append(int(pid))
    return sorted(found)


def _named(pids):
    if not pids:
        return ""
    return f" (process{'es' * (len(pids) > 1)} {', '.join(map(str, pids))} on {socket.gethostname()})"


def _note(descriptor, text):
    """Say who holds the lock, for a sentence only: a disk that refuses it takes nothing from the lock."""
    with tolerant():
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)


def _ourselves():
    return {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID", "")}


def _daemon(pid):
    """The name of the daemon that this process is of, or None."""
    from wrp.comm import names
    from wrp.runtime.daemon.view import View

    with suppress(WrpError, OSError):
        for name in sorted(os.listdir(names.folder())):
            with suppress(WrpError), View(name) as view:
                if pid in view.about.pids:
                    return name
    return None


def _holder(descriptor):
    try:
        told = json.loads(os.pread(descriptor, 4096, 0))
        job = f", job {told['job']}" if told["job"] else ""
        daemon = _daemon(told["pid"]) if told["host"] == socket.gethostname() else None
        if daemon is not None:
            return f"the daemon {daemon!r} (process {told['pid']}), which serves it: use it there, as runtime:{daemon} in place of the folder, or Store.attach({daemon!r}); else"
        return f"another job (process {told['pid']} on {told['host']}{job})"
    except (ValueError, KeyError, OSError):
        return "another job"
