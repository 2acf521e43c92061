"""Files of one node into files of another by streams of TCP: out of one page cache into the other inside the kernel. A thread for each way between two nodes.

A frame is a head and its bytes. A stream that breaks leaves no harm: whoever sends begins each file that isn't confirmed again, in pieces by MPI. One in which
a file was cut is ended, and another one goes on.
"""

import errno
import fcntl
import os
import select
import socket
import struct
import threading

_HEAD = struct.Struct("=QQQ")   # number of the sending; offset, or _WHOLE; bytes that follow, or, of what is whole, that it has
_WHOLE = (1 << 64) - 1
_FRAME = 8 << 20                # most bytes of a file before another one's turn
_PIPE = 1 << 20
_NAP_MS, _NAPS = 1, 20          # how often who sends looks by himself whether there is more, and how long he does after the last bytes


class _Cut(Exception):
    """A file has lost bytes of a frame whose head had gone."""


class Outgoing:
    """Sends to one node what `sender.streamed(node)` gives. When that can't go on, `sender.falls_back(node)`."""

    def __init__(self, node, sender, streams):
        self.node, self._sender, self._streams = node, sender, streams
        self._socket, self._is_ending, self._lock = None, False, threading.Lock()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="capio-outgoing", daemon=True)
        self._thread.start()

    def ring(self):
        """There is something to send, perhaps."""
        os.eventfd_write(self._bell, 1)

    def _run(self):
        is_cut = True
        while is_cut and not self._is_ending and (sock := self._streams.connect(self.node)) is not None:
            with self._lock:
                self._socket = sock
            self.ring()                 # there may be more than what was rung for since
            try:
                self._send_all(sock)
                is_cut = False
            except _Cut:
                is_cut = self._is_drained(sock)         # then another connection goes on
            except OSError:
                is_cut = False
            with self._lock:
                self._socket = None
            sock.close()
        if not self._is_ending:
            self._sender.falls_back(self.node)

    def _is_drained(self, sock):
        """End the stream; True when the other end has taken all of it, and dropped what it has of a frame: what comes by the next one comes after that."""
        try:
            sock.shutdown(socket.SHUT_WR)
            return not sock.recv(1)
        except OSError:
            return False

    def _send_all(self, sock):
        look = select.poll()
        look.register(self._bell, select.POLLIN)
        look.register(sock, select.POLLIN)
        naps = 0
        while not self._is_ending:
            ready = dict(look.poll(_NAP_MS if naps else None))
            if sock.fileno() in ready:
                return              # nothing ever comes but the end
            if self._bell in ready:
                os.eventfd_read(self._bell)
            naps = max(0, naps - 1)
            while not self._is_ending and any([self._step(sock, sending) for sending in self._sender.streamed(self.node)]):
                naps = _NAPS

    def _step(self, sock, sending):
        """Send one frame; True when there was one."""
        is_complete, there = sending.size is not None, os.fstat(sending.file).st_size       # in this order: its end isn't before what it had then
        if there < sending.sent:
            sending.sent = 0
        if there > sending.sent:
            sending.sent = self._frame(sock, sending, sending.sent, min(there - sending.sent, _FRAME))
        elif not is_complete:
            if sending.sent or sending.is_begun:
                return False
            sock.sendall(_HEAD.pack(sending.number, 0, 0))      # the name may have had bytes before
            sending.is_begun = True
        else:
            sock.sendall(_HEAD.pack(sending.number, _WHOLE, there))
            sending.is_told = True
        return True

    def _frame(self, sock, sending, offset, nbytes):
        """Send a part of a file; where to go on. _Cut when it is cut meanwhile: the other end would tell of bytes that were never there."""
        sock.sendall(_HEAD.pack(sending.number, offset, nbytes), socket.MSG_MORE)
        upto = offset + nbytes
        while offset < upto:
            sent = os.sendfile(sock.fileno(), sending.file, offset, upto - offset)
            if not sent:
                raise _Cut
            offset += sent
        return upto

    def hang_up(self):
        """The node is gone: send no more."""
        with self._lock:
            self._is_ending = True
            if self._socket is not None:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass            # it was cut off by itself
        self.ring()

    def close(self):
        self.hang_up()
        self._thread.join()
        os.close(self._bell)


class Incoming:
    """Receives for `receiver`, whose `streamed(key)` gives the Copy of a sending. confirm(node, number): all of it is here."""

    def __init__(self, receiver, confirm):
        self._receiver, self._confirm = receiver, confirm

    def hear(self, node, sock):
        """The thread of a connection, to its end."""
        ready, pipe = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
            except OSError:
                pass                # this user may have no more pipes of that size
            while len(head := sock.recv(_HEAD.size, socket.MSG_WAITALL)) == _HEAD.size:
                number, offset, nbytes = _HEAD.unpack(head)
                copy = self._receiver.streamed((node, number))
                if offset == _WHOLE:
                    self._receiver.is_whole((node, number), copy, nbytes)
                    self._confirm(node, number)
                elif nbytes and not self._take(sock, ready, pipe, copy, offset, nbytes):
                    return
        finally:
            os.close(ready)
            os.close(pipe)

    def _take(self, sock, ready, pipe, copy, offset, left):
        """The bytes of a frame; False when they end early."""
        while left:
            came = os.splice(sock.fileno(), pipe, min(left, _PIPE))
            if not came:
                return False
            self._write(ready, copy, offset, came)
            offset, left = offset + came, left - came
        self._receiver.has_grown(copy, offset)
        return True

    def _write(self, ready, copy, offset, left):
        """What is in the pipe into a copy, or away with it."""
        while left:
            if copy.has_failed:
                left -= len(os.read(ready, left))
                continue
            moved, error = _move(ready, copy.file, offset, left)
            offset, left = offset + moved, left - moved
            if error is not None:
                self._receiver.fails(copy, error)


def _move(ready, file, offset, nbytes):
    """Bytes of a pipe into a file: (how many have left the pipe, the OSError or None)."""
    try:
        return os.splice(ready, file, nbytes, offset_dst=offset), None
    except OSError as error:
        if error.errno != errno.EINVAL:
            return 0, error
    data, done = os.read(ready, nbytes), 0      # not every file system takes pipes
    try:
        while done < len(data):
            done += os.pwrite(file, data[done:], offset + done)
    except OSError as error:
        return len(data), error
    return len(data), None
