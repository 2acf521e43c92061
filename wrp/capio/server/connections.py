"""The programs at the other end of the socket: one Connection each, answers that never block, and the processes behind them."""

import os
import socket
import struct

from wrp.capio import wire

_CREDENTIALS = struct.Struct("iII")
_GO = wire.Reply().pack()


class Connection:
    """One program's connection. `waiter`: the request that waits for an answer, or None; `process`: what the rules call its process;
    `launches`: the step that it has begun; `is_own`: it is the process's own, not that of somebody who asks for it."""

    __slots__ = ("socket", "pid", "step", "waiter", "launches", "process", "is_own")

    def __init__(self, sock):
        self.socket, self.step, self.waiter, self.launches, self.process = sock, "", None, None, None
        self.is_own = True
        self.pid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]

    def receive(self):
        """The next request; None when there is none now; raises EOFError at the end, and for what isn't a request of this version."""
        try:
            packet = self.socket.recv(wire.PACKET)
        except BlockingIOError:
            return None
        except OSError:
            raise EOFError from None
        if not packet:
            raise EOFError
        request = wire.Request.unpack(packet)
        if request is None:
            raise EOFError
        return request

    def threads(self):
        """How many threads its process has."""
        try:
            return os.stat(f"/proc/{self.pid}/task").st_nlink - 2
        except OSError:
            return 1

    def send(self, reply=_GO):
        """Answer; without a reply: go on."""
        try:
            self.socket.send(reply if reply is _GO else reply.pack())
        except OSError:
            pass                # it has gone, or doesn't read; its end is told by the poll

    def close(self):
        self.socket.close()


class Listener:
    """The server's socket in its folder."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        path.unlink(missing_ok=True)
        self.socket.bind(os.fsencode(path))
        self.socket.listen(1024)
        self.socket.setblocking(False)

    def fileno(self):
        return self.socket.fileno()

    def accept(self):
        """A Connection, or None."""
        try:
            found, _ = self.socket.accept()
        except OSError:
            return None
        found.setblocking(False)
        return Connection(found)

    def close(self):
        self.socket.close()
