"""The loop of a node's server: sockets, the kernel's events, ends of processes, signals. What they mean is said by desk and happenings.

The order in which things are taken matters. A request is answered only after every event that the kernel had queued by then: what one program
closed before another one asked is known. Programs announce an open, or post it in their ring, before they make it; the rings are read after the kernel's
events, so no event comes of a writer nobody announced. While new files come and nobody waits, or nothing comes but bytes of files that grow, the loop rests
between its rounds, which then take many.
While questions come in quick succession it stays awake between them, where a core is free for that (eager).
"""

import errno
import json
import os
import select
import signal
import time
from collections import deque

from wrp.capio import wire
from wrp.capio.language import vanishing
from wrp.capio.rules import actions, events
from wrp.capio.server.account import Account
from wrp.capio.server.connections import Listener
from wrp.capio.server.control import Control
from wrp.capio.server.depot import Depot
from wrp.capio.server.desk import Desk
from wrp.capio.server.eager import Eager
from wrp.capio.server.happenings import Happenings
from wrp.capio.server.keeping import Keeping
from wrp.capio.server.people import People
from wrp.capio.server.place import Place
from wrp.capio.server.posts import Rings
from wrp.capio.server.stalls import Stalls
from wrp.capio.server.table import Table
from wrp.capio.server.watch import MODIFY, Watch

_BEHALF = 2                     # HELLO: the pid in it is that of another process
_QUICK = 64                     # packets that are taken from one connection in a row
_LOOKS = 3                      # how often the kernel's events are taken in one round
_REST_S = 0.0005
_ENDING_S = 0.02


class Server:
    """One node's server of a workflow. `run` returns when it is told to end; `close` always leaves nothing behind."""

    def __init__(self, workflow, capio_dir, options, linger_s=None, links=None, keep=None, elsewhere=None):
        """
        linger_s : end by itself when all steps have ended, or nobody has been there for so long; None: never
        links : nodes.Links to the servers of other nodes
        keep : the folder that permanent files are brought to; None: they stay in capio_dir
        elsewhere : {"kind", "beside", "is_all"} of a Depot, for files that don't lie where capio_dir does; None: all lie there
        """
        self.workflow, self.capio_dir, self.linger_s = workflow, os.path.realpath(capio_dir), linger_s
        self._is_ending, self._is_told, self._wake = False, False, os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._hear_signals()            # before others see that there is a server
        try:
            self.place = Place(workflow.name, self.capio_dir, keep)
        except BaseException:
            self._give_signals_back()
            raise
        try:
            self.place.keep_rules(vanishing.to_record(workflow))
            self._table, self._watch = Table(self.place.table, self.capio_dir), Watch(self.capio_dir)
            self._rings = Rings(self._table, self.capio_dir)
            self.account = Account()
            self.desk = Desk(workflow, options, self.place, self._table, self._watch, self.account, self._rings.outcome)
            if keep is not None:
                self.desk.keeping = Keeping(self.capio_dir, keep, self.place)
            if elsewhere is not None:
                self.desk.depot = Depot(self.place.folder, self.capio_dir, **elsewhere)
                self._watch.add_closes(self.desk.depot.folder)
            self._poll, self._poll_all = select.epoll(), select.epoll()
            self.people = People(workflow.name, self.desk.tell, self._poll)
            self._happenings = Happenings(self.desk, lambda pid: self.people.get(pid) is not None, self._has_opened)
            self.control, self._stalls = Control(self), Stalls()
            self.nodes = None
            if links is not None:
                from wrp.capio.nodes.nodes import Nodes         # numpy and checksums, which one node doesn't want: half of the time that it takes to start
                self.nodes = Nodes(links, self)
            self._connections, self._last_seen = {}, time.monotonic()
            self._requests = deque()    # (connection, request) received and not served
            self._listener = Listener(self.place.socket)
            if self.nodes is not None:
                self._poll.register(self.nodes.fileno(), select.EPOLLIN)
            for fd in (self._wake[0], self._listener.fileno()):
                self._poll.register(fd, select.EPOLLIN)
            for fd in (self._poll.fileno(), self._watch.fileno()):
                self._poll_all.register(fd, select.EPOLLIN)
            self._may_rest, self._are_writes, self._eager = False, False, Eager(self._poll_all.poll)
        except BaseException:
            self.place.close()
            self._give_signals_back()
            raise

    def _hear_signals(self):
        """SIGTERM, SIGINT and SIGHUP end the server. In the main thread."""
        self._before = [(number, signal.signal(number, self.end)) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]

    def _give_signals_back(self):
        for number, handler in self._before:
            signal.signal(number, handler)
        for fd in self._wake:
            os.close(fd)

    def end(self, *signal):
        """Ask the loop to end. A signal handler: then it ends at once, else when what is on its way to its home has come there."""
        self._is_ending, self._is_told = True, self._is_told or bool(signal)
        os.write(self._wake[1], b"e")

    def run(self):
        """Serve until `end` or a signal, or until `linger_s` says so."""
        try:
            while not self._is_ending or not self._is_told and self.nodes is not None and self.nodes.housing.is_moving():
                self._round(self._ready())
                if self._is_over():         # no |=: a signal in between would be forgotten
                    self._is_ending = True
        finally:
            if self.nodes is not None:
                self.nodes.end_all()

    def _ready(self):
        """Wait for something to do; what is ready, but for the kernel's events, which are looked at in any case."""
        has_more = self.desk.is_fresh or self._happenings.is_unsure or self._requests
        if self._are_writes and not has_more or self._may_rest and self.nodes is None and self.desk.machine.waits_since is None:
            return self._poll.poll(_REST_S)
        # where there are nodes, other threads want the interpreter: opens that are asked took 60 to 230 us with this, 50 to 70 without
        if has_more or self.nodes is not None or not self._eager.comes():
            self._poll_all.poll(0.0 if has_more else self._nap_s())
        return self._poll.poll(0)

    def _nap_s(self):
        self._stalls.plan(self.desk.machine.waits_since if self.nodes is None else None)     # processes elsewhere can't be looked at
        if self._is_ending:
            return _ENDING_S
        moments = [moment for moment in (self.desk.machine.next_deadline, self.desk.next_look, self._stalls.next_look) if moment is not None]
        if self.linger_s is not None:
            moments.append(time.monotonic() + min(1.0, self.linger_s))
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _round(self, ready):
        ended = []
        for fd, what in ready:
            connection = self._connections.get(fd)
            if connection is not None:
                self._receive(connection)
            elif fd == self._listener.fileno():
                self._accept()
            elif (person := self.people.of_descriptor(fd)) is not None:
                ended.append(person)
        at, count = time.monotonic(), len(self._requests)
        self._may_rest = self._hear(at)
        if self.nodes is not None:
            self.nodes.take(at)
        if count:
            self._eager.asked(at)
        for _ in range(count):          # what was received since then is answered when what the kernel has seen by then is known
            self._serve(*self._requests.popleft(), at)
        for person in ended:
            self._part(person, at)
        if self.desk.machine.next_deadline is not None and at >= self.desk.machine.next_deadline:
            self.desk.tell(events.Clock(at=at))
        if self.desk.next_look is not None and at >= self.desk.next_look:
            self.desk.look(at)
        if self._stalls.next_look is not None and at >= self._stalls.next_look:
            self._find_stalls(at)

    def _hear(self, at):
        """Take in what the kernel has seen, and what was posted of it; then tell those who don't ask what is complete. A file is looked at before the last
        events are taken: what is another's by then isn't told of. True when files were posted."""
        looked, lost, has_posts, self._are_writes = {}, [], False, False
        for _ in range(_LOOKS):
            seen, posts = self._watch.read(), self._rings.take()
            if not (seen or posts or looked or lost or self.desk.is_fresh or self._happenings.is_unsure):
                return has_posts        # as before most answers
            self._are_writes = bool(seen) and all(one.what == MODIFY for one in seen)
            if posts:
                has_posts = True
                self.desk.posted(posts, lambda pid: self.people.get(pid).step)
                self._rings.done()
            self.desk.forgotten.clear()
            self._happenings.take(seen, at)
            self._happenings.settle(lost, at)
            for path, status in looked.items():
                if status is not None and not self.desk.is_forgotten(path):
                    self._table.publish(path, status)
            looked, lost = self.desk.looked(), self._happenings.lost()
            if not looked and not lost:
                break
        self.desk.look_again(looked)
        self._happenings.doubt(lost)
        return has_posts

    def _find_stalls(self, at):
        """Circles among steps whose shells wait for their children are found from outside, when somebody has waited long."""
        launchers = [(connection.launches, connection.pid) for connection in self._connections.values() if connection.launches]
        for step in self._stalls.look(self.people.roots(), launchers, self.desk.machine.who_waits(), at):
            self.desk.tell(events.Stalled(step, at=at))

    def _accept(self):
        while (connection := self._listener.accept()) is not None:
            self._connections[connection.socket.fileno()] = connection
            self._poll.register(connection.socket.fileno(), select.EPOLLIN)

    def _receive(self, connection):
        try:
            for _ in range(_QUICK):
                request = connection.receive()
                if request is None:
                    return
                self._requests.append((connection, request))
                if request.op not in wire.TOLD:
                    return          # it waits for its answer
        except EOFError:
            self._requests.append((connection, None))

    def _has_opened(self, writer):
        """True when the open that a process has announced has happened, by what it has said by now: it says so before it closes."""
        for connection in self._connections.values():
            if connection.pid == writer.pid:
                self._receive(connection)
        opened = wire.OPENED, writer.path, 0, writer.thread
        return any(request is not None and (request.op, request.path, request.a, request.b) == opened and connection.pid == writer.pid
                   for connection, request in self._requests)

    def _serve(self, connection, request, at):
        if request is None:
            self._drop(connection, at)
        elif request.op == wire.HELLO:
            self._hello(connection, request, at)
        elif request.op in _SERVE:
            _SERVE[request.op](self, connection, request, at)
        else:
            self._drop(connection, at)          # of another version

    def _hello(self, connection, request, at):
        connection.step = request.path
        is_own = request.a != _BEHALF
        if not is_own:
            connection.pid, connection.is_own = request.pid, False
        if request.path:                # "": a command
            # one that is too short to be met alive was there: who waits for its step is told of its end
            person = self.people.joins(connection.pid, request.path, at, connection.socket if is_own else None)
            connection.process = person.name if person else None
            self.account.step_began(request.path, at)

    def _drop(self, connection, at):
        if self._connections.pop(connection.socket.fileno(), None) is None:
            return
        self.desk.cancel(connection, at)
        self.control.dropped(connection, at)
        self._poll.unregister(connection.socket.fileno())
        connection.close()

    def _part(self, person, at):
        """A process has ended, after all it had open was closed."""
        code, number = self.people.leaves(person, at)
        for writer in self.desk.writers.parted(person.pid):
            self._happenings.close(writer, at, is_lost=code is None)
        self.desk.writers.ended(person.pid)
        self._rings.release(person.pid)
        self.desk.tell(events.ProcessLeft(person.name, code, number, at=at))
        for connection in [connection for connection in self._connections.values() if connection.pid == person.pid and connection.waiter]:
            self._drop(connection, at)          # somebody asked for it
        self._last_seen = at
        if not self.people.count(person.step) and not self.people.launched.get(person.step):
            self.account.step_ended(person.step, at, code, number)

    # requests that need no rule

    def _rename(self, connection, request, at):
        if self.nodes is not None:
            for path in filter(None, (request.path, request.path2)):
                self.nodes.joins(path)
        if self.desk.depot is not None and not request.path2 and self.desk.depot.below(request.path):
            connection.send(wire.Reply(error=errno.EXDEV))      # it is on another file system, and the link alone isn't the file
            return
        if request.path2:
            self.desk.will_vanish(request.path2)
            self.desk.writers.renames(request.path, request.path2, connection.step)
        connection.send(wire.Reply())

    def _mkdir(self, connection, request, at):
        self._hear(at)
        self.desk.tell(events.Created(request.path, connection.step, True, at=at))      # the kernel didn't say who made it
        connection.send(wire.Reply())

    def _table_of(self, connection, request, at):
        ring = self._rings.give(connection.pid) if not request.a and self.people.get(connection.pid) is not None else -1
        connection.send(wire.Reply(slot=ring, text=str(self.place.table)))

    def _name(self, connection, request, at):
        path = self.desk.depot.path_of(request.path) if self.desk.depot is not None else ""
        connection.send(wire.Reply(what=wire.REDIRECT, text=path))

    def _done(self, connection, request, at):
        self.account.read(connection.step, request.path, request.a, request.b / 1e9)

    def _bye(self, connection, request, at):
        person = self.people.get(connection.pid)
        if person is not None:
            person.said_goodbye = True

    def _control(self, connection, request, at):
        try:
            asked = dict(json.loads(request.path))
        except (ValueError, TypeError):
            self._drop(connection, at)
            return
        self.control.answer(connection, asked, at)

    # the end

    def _is_over(self):
        if self.linger_s is None or self.people.count() or any(self.people.launched.values()):
            return False
        if any(not connection.step for connection in self._connections.values()):
            return False                # a launcher that has met this server, and begins a step in a moment
        declared = {step.name for step in self.workflow.steps}
        return bool(declared) and declared <= set(self.account.spans) or time.monotonic() - self._last_seen > self.linger_s

    def close(self):
        """End the workflow: everybody who waits is told, what isn't permanent goes. Idempotent."""
        if self._poll.closed:
            return
        at = time.monotonic()
        self._hear(at)
        self.desk.tell(events.WorkflowEnded(at=at))
        if self.nodes is not None:
            self.desk.end_of_node()
            self.nodes.housing.let_go()
            self.nodes.close()
        if self.desk.keeping is not None:
            for sentence in self.desk.keeping.end():
                self.desk.do(actions.Note(sentence))
        self.desk.settle()
        for connection in self._connections.values():
            connection.close()
        self._listener.close()
        self.people.close()
        self._poll.close()
        self._poll_all.close()
        self._watch.close()
        self._table.close()
        self.place.close()
        self._give_signals_back()


_SERVE = {
    wire.READ: lambda server, *what: server.desk.read(*what),
    wire.LIST: lambda server, *what: server.desk.read(*what),
    wire.STAT: lambda server, *what: server.desk.stat(*what),
    wire.WRITE: lambda server, *what: server.desk.write(*what),
    wire.OPENED: lambda server, *what: server.desk.opened(*what),
    wire.MORE: lambda server, *what: server.desk.more(*what),
    wire.RENAME: Server._rename,
    wire.MKDIR: Server._mkdir,
    wire.DONE: Server._done,
    wire.BYE: Server._bye,
    wire.CONTROL: Server._control,
    wire.TABLE: Server._table_of,
    wire.NAME: Server._name,
}
