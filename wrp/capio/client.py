"""A connection to the server of a workflow, for commands and for programs in Python. No interception."""

import json
import os
import select
import socket
import threading
import time
from contextlib import suppress

from wrp.capio import wire
from wrp.capio.server import place
from wrp.errors import RuntimeGone, WrpError

_STEP_S = 0.01


class Client:
    """One connection. `ask` waits for the answer; several threads use several clients."""

    def __init__(self, workflow, step="", wait_s=0.0, socket_path=None, behalf=0):
        """behalf : the pid of the process that is meant, where this one asks for it"""
        self.workflow, self._path = workflow, os.fsencode(socket_path or place.socket_path(workflow))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            self._connect(time.monotonic() + wait_s)
            self._pid = behalf or os.getpid()
            self.tell(wire.Request(wire.HELLO, a=2 if behalf else 0, path=step, path2=workflow))
        except BaseException:
            self._socket.close()
            raise

    def _connect(self, deadline):
        while True:
            try:
                return self._socket.connect(self._path)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                if time.monotonic() >= deadline:
                    raise RuntimeGone(f"no CAPIO server of the workflow {self.workflow!r} runs on this node: start capio_server or capio run, "
                                      "or set CAPIO_WORKFLOW_NAME to the workflow's name") from None
                time.sleep(_STEP_S)

    def tell(self, request):
        request.pid = self._pid
        if request.op in wire.OF_THREADS and not request.b:
            request.b = threading.get_native_id()
        try:
            self._socket.send(request.pack())
        except OSError:
            raise self._gone() from None

    def ask(self, request):
        """The Reply, however long it takes."""
        self.tell(request)
        return self.answer()

    def is_ready(self, timeout_s):
        """True when there is an answer, or the server has gone, within so long."""
        look = select.poll()
        look.register(self._socket, select.POLLIN)
        return bool(look.poll(1000 * timeout_s))

    def answer(self):
        """The Reply to what was told last."""
        try:
            reply = wire.Reply.unpack(self._socket.recv(wire.PACKET))
        except OSError:
            reply = None
        if reply is None:
            raise self._gone()
        return reply

    def _gone(self):
        return RuntimeGone(f"the CAPIO server of the workflow {self.workflow!r} has ended")

    def control(self, do, **more):
        """Ask a command's question; the answer's JSON value."""
        text = self.ask(wire.Request(wire.CONTROL, path=json.dumps({"do": do, **more}))).text
        if text.startswith("/"):
            with open(text, encoding="utf-8") as file:
                value = json.load(file)
            os.unlink(text)
        else:
            value = json.loads(text)
        if "error" in value:
            raise WrpError(value["error"])
        return value

    def wait_end(self):
        """Until the server has ended."""
        while self._socket.recv(wire.PACKET):
            pass

    def fileno(self):
        return self._socket.fileno()

    def hang_up(self):
        """End the connection for a thread that waits for an answer, RuntimeGone; `close` is its to call."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
