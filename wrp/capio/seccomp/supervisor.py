"""Answers the calls that the kernel holds: those below CAPIO_DIR are asked of the server, each in a thread of its own, the others go on."""

import errno
import os
import select
import struct
import sys
import threading
import time
from contextlib import contextmanager, suppress

from wrp.capio import wire
from wrp.capio.client import Client
from wrp.capio.paths import normal, reopened
from wrp.capio.seccomp import elsewhere, kernel
from wrp.capio.seccomp.growing import NEVER, Growing
from wrp.capio.seccomp.waits import Left, Waits
from wrp.capio.server.depot import lies_at, may_hold
from wrp.errors import RuntimeGone

_HERE = 0xFFFFFF9C              # AT_FDCWD in 32 bits
_EIO = 5
_NAP_S = 0.005                  # before the server is asked again of bytes that it knows of and that aren't seen here
_ENDING_S = 2.0
_MOST_IDLE = 64                 # processes whose connections are kept before those that have ended are looked for


class Supervisor:
    """Serves a listener until no held process is left. `close` after its thread has ended."""

    def __init__(self, listener, workflow, step, folder):
        self._listener, self._workflow, self._step, self._folder = listener, workflow, step, folder
        self._idle, self._lock, self._waits = {}, threading.Lock(), Waits(listener)
        self._growing, self._answers = Growing(listener, self._waits), set()          # answers: threads of calls that wait
        self._thread = threading.Thread(target=self._serve, name="capio supervisor", daemon=True)
        self._thread.start()

    def _serve(self):
        look = select.poll()
        look.register(self._listener, select.POLLIN)
        while True:
            events = look.poll()
            if not events[0][1] & select.POLLIN:
                return              # nobody is held any more
            notice = kernel.receive(self._listener)
            if notice is None:
                continue
            wait = self._waits.take_up(notice, self._asked(notice) if notice.fd is None else self._wanted(notice))
            if wait is not None:
                self._start(wait)

    def _start(self, wait):
        thread = threading.Thread(target=self._answer, args=(wait,), daemon=True)
        self._answers.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            self._answers.discard(thread)
            print(f"capio: no more calls can be held: {error}", file=sys.stderr, flush=True)
            self._end(wait, _EIO)

    def _asked(self, notice):
        """The Requests that the call is about, [] where it concerns no path below CAPIO_DIR."""
        try:
            found = _ASKED[notice.what](self, notice.thread, *notice.arguments)
        except (OSError, struct.error):
            return []               # it is gone, or its argument no address: the kernel says so itself
        return found if found and kernel.is_held(self._listener, notice) else []

    def _wanted(self, notice):
        """(path, upto) that a call on a descriptor waits for; None: for nothing."""
        try:
            return self._growing.wanted(notice)
        except (OSError, struct.error):
            return None

    def _answer(self, wait):
        error, is_done = _EIO, True
        try:
            if wait.notice.fd is None:
                error = next(filter(None, (self._may(wait, request) for request in wait.asked)), 0)
            else:
                error = self._more(wait, *wait.asked)
        except Left:
            error, is_done = elsewhere.GIVEN, False
        finally:
            try:
                if error != elsewhere.GIVEN:
                    is_done = self._end(wait, error) and not error
                if not is_done and wait.notice.fd is None:
                    self._tell_of_none(wait)
            finally:
                self._answers.discard(threading.current_thread())

    def _end(self, wait, error):
        """Answer; False where nobody waits for it any more."""
        with self._waits.answering(wait) as notice:
            return kernel.answer(self._listener, notice, error)

    def _tell_of_none(self, wait):
        """Opens that were announced don't happen: their program was killed, or went away from them, or has an error of ours."""
        for request in wait.asked:
            if request.op == wire.WRITE and wait.process:
                with suppress(RuntimeGone), Client(self._workflow, behalf=wait.process) as client:       # of no step: it doesn't come into being by this
                    client.tell(wire.Request(wire.OPENED, a=errno.EINTR, b=request.b, path=request.path))

    def _may(self, wait, request):
        """The errno that a call which names a file ends with, 0: it goes on."""
        if request.path != self._folder and not request.path.startswith(self._folder + "/") and request.op != wire.RENAME:
            request.path = self._ask(wait, wire.Request(wire.NAME, path=request.path)).text         # of a file that lies elsewhere
            if not request.path:
                return 0
        reply = self._ask(wait, request)
        if reply.error or not reply.what & wire.STREAM or request.op not in (wire.READ, wire.LIST):
            return reply.error or self._opened(wait, request, reply)
        if request.op == wire.READ:
            try:
                if self._growing.give(wait, request.path, request.flags):
                    return elsewhere.GIVEN
            except OSError as error:
                return error.errno
            self._waits.look(wait)
        return self._more(wait, request.path, NEVER, request.op == wire.LIST or os.path.isdir(request.path))

    def _opened(self, wait, request, reply):
        """What an open that goes on ends with, where the file lies elsewhere."""
        if reply.what & wire.REDIRECT:
            return elsewhere.make(self._listener, self._waits, wait, request, reply.text)
        if request.op in (wire.READ, wire.WRITE) and request.flags & os.O_NOFOLLOW and not request.flags & os.O_EXCL and lies_at(request.path) != request.path:
            return elsewhere.follow(self._listener, self._waits, wait, request, lies_at(request.path))
        return 0

    def _more(self, wait, path, upto, is_directory=False):
        """Wait until the file has byte `upto`, or is complete; the errno that the call ends with, or 0."""
        request = wire.Request(wire.MORE, a=upto, path=path, path2="/" if is_directory else "")
        while True:
            reply = self._ask(wait, request)
            if reply.error:
                return reply.error
            if not reply.what & wire.STREAM:
                if wait.notice.fd is not None:
                    self._growing.is_complete(wait.notice)
                if upto != NEVER and not is_directory:
                    self._tell(wait.notice.thread, wire.Request(wire.DONE, a=upto - 1, path=path))      # so much was read while it grew
                return 0
            if upto != NEVER and self._growing.is_there(wait.notice, path, upto):
                return 0
            time.sleep(_NAP_S)
            self._waits.look(wait)

    def _tell(self, thread, request):
        with suppress(RuntimeGone), self._client(_process(thread)) as client:
            client.tell(request)

    def _ask(self, wait, request):
        """The server's Reply; its sentence, where the call ends with an error, is printed. Left."""
        process = _process(wait.notice.thread)
        if not process:
            return wire.Reply(error=_EIO)
        wait.process = process
        try:
            with self._client(process) as client:
                reply = self._waits.ask(wait, client, request)
        except RuntimeGone as gone:
            if _process(wait.notice.thread):
                print(f"capio: {request.path}: {gone}", file=sys.stderr, flush=True)
            return wire.Reply(error=_EIO)
        if reply.error and reply.text:
            print(f"capio: {reply.text}", file=sys.stderr, flush=True)
        return reply

    @contextmanager
    def _client(self, process):
        """A connection for this process that nobody else uses."""
        with self._lock:
            idle = self._idle.get(process)
            client = idle.pop() if idle else None
        client = client or Client(self._workflow, self._step, behalf=process)
        try:
            yield client
        except BaseException:
            client.close()
            raise
        with self._lock:
            self._idle.setdefault(process, []).append(client)
            if len(self._idle) > _MOST_IDLE:
                for gone in [pid for pid in self._idle if not os.path.exists(f"/proc/{pid}")]:
                    for client in self._idle.pop(gone):
                        client.close()

    # which path, and what about it

    def _path(self, thread, folder, address, is_opened=False):
        """The normal path below CAPIO_DIR that an argument names, or None. `is_opened`: also that of a file which is opened once more by the name of a descriptor,
        where it lies elsewhere as it does there."""
        name = _text(thread, address)
        if not name:
            return None
        if not name.startswith("/"):
            at = "cwd" if folder & 0xFFFFFFFF == _HERE else f"fd/{folder & 0xFFFFFFFF}"
            name = f"{os.readlink(f'/proc/{thread}/{at}')}/{name}"
        elif is_opened and (again := reopened(name, thread)) is not None:
            if may_hold(again):
                return again
            name = again
        name = normal(name)
        return name if name == self._folder or name.startswith(self._folder + "/") else None

    def _opens(self, thread, folder, address, flags):
        path = self._path(thread, folder, address, is_opened=True)
        if path is None or flags & os.O_PATH:
            return []
        writes = flags & os.O_ACCMODE != os.O_RDONLY or flags & (os.O_CREAT | os.O_TRUNC)
        lists = flags & os.O_DIRECTORY or (not writes and os.path.isdir(path))
        return [wire.Request(wire.LIST if lists else wire.WRITE if writes else wire.READ, flags=flags & 0x7FFFFFFF, b=thread, path=path)]

    def _looks(self, thread, folder, address, *_):
        path = self._path(thread, folder, address)
        return [wire.Request(wire.STAT, path=path)] if path else []

    def _renames(self, thread, from_folder, source, to_folder, target, *_):
        paths = self._path(thread, from_folder, source) or "", self._path(thread, to_folder, target) or ""
        return [wire.Request(wire.RENAME, path=paths[0], path2=paths[1])] if any(paths) else []

    def close(self):
        self._thread.join(_ENDING_S)
        for thread in list(self._answers):          # what came of the last calls is still told
            thread.join(_ENDING_S)
        for clients in self._idle.values():
            for client in clients:
                client.close()
        os.close(self._listener)


def _process(thread):
    """The process of a thread; 0 when it has gone."""
    try:
        with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Tgid"))
    except OSError:
        return 0


def _text(thread, address):
    """The text at an address of a thread's memory."""
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        room = 4096 - address % 4096            # the next page may not be there
        found = memory.read(room)
        if b"\0" not in found:
            found += memory.read(4096)
    return os.fsdecode(found.split(b"\0", 1)[0])


_ASKED = {
    "open": lambda self, thread, path, flags, *_: self._opens(thread, _HERE, path, flags),
    "creat": lambda self, thread, path, *_: self._opens(thread, _HERE, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC),
    "openat": lambda self, thread, folder, path, flags, *_: self._opens(thread, folder, path, flags),
    "openat2": lambda self, thread, folder, path, how, *_: self._opens(thread, folder, path, kernel.word(thread, how)),
    "stat": lambda self, thread, path, *_: self._looks(thread, _HERE, path),
    "access": lambda self, thread, path, *_: self._looks(thread, _HERE, path),
    "fstatat": Supervisor._looks,
    "faccessat": Supervisor._looks,
    "rename": lambda self, thread, source, target, *_: self._renames(thread, _HERE, source, _HERE, target),
    "renameat": Supervisor._renames,
    "mkdir": lambda self, thread, *_: [],       # the kernel tells the server; what is in it by then is looked for
    "mkdirat": lambda self, thread, *_: [],
}
