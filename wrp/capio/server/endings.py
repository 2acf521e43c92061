"""Processes of other people's making: descriptors that tell when one ends, whether it is ending now, and how it ended."""

import fcntl
import os
import signal
import socket
import struct

_EXITING = 0x4                  # PF_EXITING among the flags of /proc/PID/stat
_INFO_EXIT = 1 << 3
_INFO_NBYTES, _EXIT_CODE_AT = 64, 60
_GET_INFO = 3 << 30 | _INFO_NBYTES << 16 | 0xFF << 8 | 11       # PIDFD_GET_INFO of Linux 6.15
_PEER_PIDFD = 77               # SO_PEERPIDFD of Linux 6.5


def _fields(pid):
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)         # half the time of open(): it is on the way of every close
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        return os.read(file, 4096).rpartition(b")")[2].split()
    except ProcessLookupError:
        return None
    finally:
        os.close(file)


def is_ending(pid):
    """True while the kernel takes the process apart, or when it is gone: the closes it does now aren't its own wish."""
    if os.access(f"/proc/{pid}/exe", os.F_OK):
        return False            # it has its memory, which the kernel takes before it closes anything; four times as fast
    fields = _fields(pid)
    return fields is None or fields[0] in (b"Z", b"X") or bool(int(fields[6]) & _EXITING)


def parent(pid):
    fields = _fields(pid)
    return int(fields[1]) if fields else 0


def descriptor(pid, peer=None):
    """A descriptor that is ready when the process has ended. None where it has already, unless `peer`, the socket that it spoke by, is given."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None if peer is None else _of_ended(peer)


def _of_ended(peer):
    try:                        # how it ended is known by this one
        return struct.unpack("i", peer.getsockopt(socket.SOL_SOCKET, _PEER_PIDFD, struct.calcsize("i")))[0]
    except OSError:             # an older kernel doesn't give it of one that has ended
        ready, other = os.pipe2(os.O_CLOEXEC)
        os.close(other)
        return ready


def how(pid, pidfd):
    """(exit code, signal) of a process that has ended: one of them None; both None when the kernel doesn't tell."""
    fields = _fields(pid)
    if fields is not None and fields[0] == b"Z" and len(fields) > 49:
        return _split(int(fields[49]))
    info = bytearray(_INFO_NBYTES)
    struct.pack_into("=Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _GET_INFO, info)
    except OSError:
        return None, None
    if not struct.unpack_from("=Q", info)[0] & _INFO_EXIT:
        return None, None
    return _split(struct.unpack_from("=i", info, _EXIT_CODE_AT)[0])


def _split(status):
    return (None, status & 0x7F) if status & 0x7F else (status >> 8 & 0xFF, None)


def of_step(step, workflow):
    """Pids of this user's processes whose environment names the step and the workflow."""
    wanted, found = {f"CAPIO_APP_NAME={step}".encode(), f"CAPIO_WORKFLOW_NAME={workflow}".encode()}, []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if wanted <= set(file.read().split(b"\0")) and not is_ending(int(name)):
                        found.append(int(name))
            except OSError:
                continue        # another user's, or gone
    return found


def is_written(path):
    """True while anybody has the file open for writing; None where the file system can't say (leases)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)          # what comes when somebody opens it meanwhile: SIGIO would end us
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(fd)            # gives the lease up
