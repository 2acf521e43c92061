"""What the replaced functions ask of the server: a connection for each thread, whether a path is managed, the shared table."""

import mmap
import os
import sys
import threading
import time

from wrp.capio import wire
from wrp.capio.client import Client
from wrp.capio.paths import normal, reopened
from wrp.capio.server.depot import may_hold
from wrp.errors import RuntimeGone

_NAPS_S, _FIRST_NAP_S, _LAST_NAP_S = 0.02, 0.0002, 0.005
_NEVER = (1 << 63) - 1
_own = threading.local()


class Talk:
    """This process's side. `plain_stat`, `plain_open`: os.stat and os.open as they were."""

    def __init__(self, environ=os.environ):
        self.given = os.path.abspath(environ["CAPIO_DIR"])
        self.folder = os.path.realpath(self.given)
        self.step = environ.get("CAPIO_APP_NAME") or "default_app"
        self._workflow = environ.get("CAPIO_WORKFLOW_NAME") or "CAPIO"
        self._socket, self._wait_s = environ.get("CAPIO_SOCKET"), float(environ.get("CAPIO_SERVER_WAIT_S") or 10)
        self.pause_s = float(environ.get("CAPIO_PAUSE_MS") or 50) / 1000
        self.plain_stat, self.plain_open, self.plain_fstat = os.stat, os.open, os.fstat
        self._table, self._is_lost = None, False        # lost: the server that it has met; the next one has another table

    def below(self, path, dir_fd=None):
        """The absolute path when it lies below CAPIO_DIR, else None. Anything else than a name is None."""
        if isinstance(path, int) or dir_fd is not None:
            return None
        try:
            path = os.fsdecode(path)
        except TypeError:
            return None
        path = normal(path if path[:1] == "/" else os.path.join(os.getcwd(), path))
        for folder in (self.folder, self.given):
            if path.startswith(folder + "/") or path == folder:
                return self.folder + path[len(folder):]
        return None

    def opens(self, path, dir_fd=None):
        """As `below`, for an open: also where the path names a descriptor of such a file, which is opened once more then."""
        again = reopened(os.fsdecode(path)) if isinstance(path, (str, bytes)) else None
        if again is None:
            return self.below(path, dir_fd)
        return self.ask(wire.NAME, again).text or None if may_hold(again) else self.below(again)

    def _client(self):
        client = getattr(_own, "client", None)
        if client is None or _own.pid != os.getpid():           # of a parent
            client = _own.client = Client(self._workflow, self.step, self._wait_s, self._socket)
            _own.pid = os.getpid()
        return client

    def hello(self):
        """Let the server know this process; without a server that is told when the first file is opened."""
        try:
            _own.client, _own.pid = Client(self._workflow, self.step, 0, self._socket), os.getpid()
        except RuntimeGone:
            pass

    def ask(self, op, path, flags=0, a=0, path2=""):
        """The Reply; OSError with its errno, and its sentence on standard error, where the server refuses or is gone."""
        try:
            reply = self._client().ask(wire.Request(op, os.getpid(), flags, a, 0, path, path2))
        except RuntimeGone as gone:
            _own.client, self._is_lost = None, True
            self._refuse(5, path, str(gone))
        except BaseException:
            _own.client.close()         # Ctrl-C: the question is still open there
            _own.client = None
            raise
        if reply.error:
            self._refuse(reply.error, path, reply.text)
        if self._is_lost:
            reply.slot = -1
        return reply

    @staticmethod
    def _refuse(number, path, sentence):
        if sentence:
            print(f"capio: {sentence}", file=sys.__stderr__, flush=True)
        raise OSError(number, os.strerror(number), path)

    def tell(self, op, path, a=0, b=0):
        try:
            self._client().tell(wire.Request(op, os.getpid(), 0, a, b, path))
        except RuntimeGone:
            _own.client, self._is_lost = None, True

    def is_complete(self, slot):
        """True once the end of the slot's file is its end; of no slot, -1, only the server knows."""
        if slot < 0:
            return False
        if self._table is None:
            file = self.plain_open(self.ask(wire.TABLE, "", a=1).text, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._table = memoryview(mmap.mmap(file, wire.RINGS_AT, prot=mmap.PROT_READ)).cast("I")
            finally:
                os.close(file)
        return self._table[(wire.SLOTS_AT + slot * wire.SLOT_NBYTES) // 4 + 1] != wire.OPEN

    def wait_more(self, path, upto, waited_s, hurries=False, is_directory=False):
        """One wait at the end of what is there: True when there will be no more. Naps first, then asks."""
        if waited_s < _NAPS_S or hurries:
            time.sleep(min(max(waited_s / 4, _FIRST_NAP_S), _LAST_NAP_S))
            return False
        return not self.ask(wire.MORE, path, a=upto, path2="/" if is_directory else "").what & wire.STREAM

    def wait_complete(self, path, slot):
        while not self.is_complete(slot):
            if self.wait_more(path, _NEVER, _NAPS_S):
                return
