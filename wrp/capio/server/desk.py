"""Answers requests: what a program asks becomes an event of the rules, the rules' actions become replies and changes of the table."""

import errno
import itertools
import os
import stat
import sys
import time
from dataclasses import dataclass

from wrp.capio import wire
from wrp.capio.language.vanishing import stays, vanishes
from wrp.capio.rules import Machine, actions, events
from wrp.capio.server import keeping
from wrp.capio.server import place as places
from wrp.capio.server.writers import Writers

_LATE_MODIFY_S = 0.1            # how often a file that somebody waits for is looked at: writes through mappings aren't told


@dataclass(slots=True)
class Asked:
    """A request that hasn't been answered."""

    connection: object
    request: wire.Request
    since: float


class Desk:
    """Requests, the rules and the table of one node."""

    def __init__(self, workflow, options, place, table, watch, account, outcome_of):
        self.workflow, self.machine = workflow, Machine(workflow, options)
        self.place, self.table, self.watch, self.account = place, table, watch, account
        self.writers, self.notes = Writers(outcome_of), []
        self._asked, self._waiters = {}, itertools.count(1)
        self._vanishing, self._fresh = set(), {}
        self._followed = {}             # waiter: the path that is watched for growth
        self.next_look = None
        self.own = set()                # where there are several nodes: what was made on this one
        self.forgotten = set()          # names that are gone since somebody cleared this
        self.nodes = None               # nodes.Nodes where there are several
        self.keeping = None             # keeping.Keeping where what is permanent doesn't stay here
        self.depot = None               # depot.Depot where files may lie elsewhere

    # events and actions

    def tell(self, event):
        """Tell the rules of an event and do what they say."""
        if self.nodes is not None:
            self.nodes.before(event)
        for action in self.machine.handle(event):
            self.do(action)
        if self.nodes is not None:
            self.nodes.after(event)

    def do(self, action):
        if self.nodes is None or not self.nodes.take_action(action):
            _DO[type(action)](self, action)

    def _go(self, action):
        asked = self._asked.pop(action.waiter, None)
        if asked is None:
            return
        self._unfollow(action.waiter)
        asked.connection.waiter = None
        request = asked.request
        self._waited(asked)
        if request.op == wire.WRITE:
            self._write(asked.connection, request)
            return
        reply = wire.Reply() if action.is_final or request.op == wire.STAT else self._stream(request)
        if self.nodes is None or request.op != wire.MORE or not self.nodes.holds(asked.connection, request, action, reply):
            asked.connection.send(reply)

    def _waited(self, asked):
        """Of a file that it reads, or lists, while it grows a program tells itself, when it is through with it."""
        if asked.request.op != wire.MORE or not asked.connection.is_own:
            self.account.waited(asked.connection.step, asked.request.path, time.monotonic() - asked.since)

    def _stream(self, request):
        """The reply that lets a program read while the file grows, or list while the directory fills."""
        slot = self.table.growing(request.path)
        if slot < 0:
            return wire.Reply(what=wire.STREAM, slot=-1)
        if request.op in (wire.READ, wire.LIST):
            try:
                self.table.know(slot, os.stat(request.path))
            except OSError:
                return wire.Reply()     # gone again: the open itself will say so
        return wire.Reply(what=wire.STREAM, slot=slot)

    def _refuse(self, action):
        asked = self._asked.pop(action.waiter, None)
        if asked is not None:
            self._unfollow(action.waiter)
            asked.connection.waiter = None
            self._waited(asked)
            asked.connection.send(wire.Reply(error=action.errno, text=action.sentence))

    def committed(self, action):
        if self.nodes is None or self.nodes.completed(action.path):
            self.table.commit(action.path)
            if self.nodes is None or action.path in self.own:
                self._fresh[action.path] = None
        self.account.committed(action.path, action.size)
        if self.keeping is not None and self.nodes is None:
            self.keeping.completed(action.path)

    def looked(self):
        """{path: os.stat_result} of what was completed since the last call."""
        found, self._fresh = self._fresh, {}
        for path, status in found.items():
            if status is None:
                try:
                    found[path] = os.stat(path)
                except OSError:
                    pass                # gone again
        return found

    @property
    def is_fresh(self):
        """True when something was completed that `looked` hasn't given."""
        return bool(self._fresh)

    def look_again(self, found):
        self._fresh.update(dict.fromkeys(found))

    def forget(self, path, is_directory=False):
        """The name is gone, or another file's; with a directory that has moved all that lay in it."""
        self.table.forget(path)
        self._fresh.pop(path, None)
        if is_directory:
            self.table.forget_below(path)
            for below in [below for below in self._fresh if below.startswith(path + "/")]:
                del self._fresh[below]
        self.forgotten.add(path)
        self.own.discard(path)

    def is_forgotten(self, path):
        """True for a path that has gone, or that lay in a directory that has, since somebody cleared `forgotten`."""
        while self.forgotten and path:
            if path in self.forgotten:
                return True
            path = path.rpartition("/")[0]
        return False

    def _delete(self, action):
        places.remove(action.path)

    def _note(self, action):
        self.notes.append(action.sentence)
        print(f"capio: {action.sentence}", file=sys.stderr, flush=True)

    def _fetch(self, action):
        raise AssertionError(f"one node fetches nothing: {action}")

    # requests

    def want(self, kind, connection, request, at, **more):
        """Ask the rules for a program that may have to wait."""
        if self.nodes is not None:
            self.nodes.catch_up(request.path)
        waiter = next(self._waiters)
        self._asked[waiter] = Asked(connection, request, at)
        connection.waiter = waiter
        self.tell(kind(waiter, connection.step, request.path, process=connection.process, threads=connection.threads(), at=at, **more))
        return waiter

    def is_asked(self, path):
        """True while somebody waits for an answer about this path."""
        return any(asked.request.path == path for asked in self._asked.values())

    def may_wait(self, connection, path):
        plan = self.workflow.look(path)
        if not plan.waits or connection.step not in plan.consumers or connection.step in plan.producers:
            return False
        folder = os.path.dirname(path)
        return os.path.isdir(folder) or not os.path.lexists(folder)     # below a file there is nothing to wait for

    def read(self, connection, request, at):
        if self.machine.is_complete(request.path):
            self.account.opened(connection.step, request.path)
            connection.send()
        elif self.may_wait(connection, request.path):
            self.account.opened(connection.step, request.path)
            self.want(events.WantOpen, connection, request, at, found=_found(request.path))
        else:
            connection.send()

    def stat(self, connection, request, at):
        if not self.machine.is_complete(request.path) and self.may_wait(connection, request.path):
            self.want(events.WantStat, connection, request, at, found=_found(request.path))
        else:
            connection.send()

    def write(self, connection, request, at):
        """Opening for writing. Who reads too what another step makes waits as a reader does."""
        reads = request.flags & os.O_ACCMODE == os.O_RDWR and not request.flags & os.O_TRUNC
        if self.is_elsewhere(request.path):
            connection.send(wire.Reply(error=errno.EROFS, text=f"{request.path} is written on another node: steps that write one file run on one node"))
        elif reads and self.may_wait(connection, request.path):
            self.want(events.WantOpen, connection, request, at, found=_found(request.path))
        else:
            self._write(connection, request)

    def _write(self, connection, request):
        path, plan, what, is_new, fails, there = request.path, self.workflow.look(request.path), 0, False, False, ""
        if self.nodes is not None:
            self.nodes.joins(path)
        if not request.a:               # 1: a descriptor that the process has had from its start
            makes = request.flags & os.O_CREAT
            is_there = not makes and connection.is_own or os.access(path, os.F_OK, follow_symlinks=False)       # lexists takes twice as long
            if makes and not is_there:
                is_new = True
                self.will_vanish(path, plan)
                if self.depot is not None:      # where a file is to lie isn't known by who posts it
                    there = self.depot.place(plan)
                    what = wire.REDIRECT if there else 0
                elif self.watch.knows(os.path.dirname(path)):
                    what = wire.WATCHED
            else:
                fails = not is_there or makes and request.flags & os.O_EXCL     # not every way of seeing calls tells of it
        if not request.a and not fails:
            self.writers.announce(path, connection.step, connection.pid, bool(request.flags & os.O_TRUNC) and not is_new, connection.is_own, request.b)
        if plan.waits and plan.mode == "no_update":
            connection.send(wire.Reply(what=wire.STREAM | what, slot=self.table.slot(path), text=there))
        else:
            connection.send(wire.Reply(what=what, text=there))

    def opened(self, connection, request, at):
        writer = self.writers.waiting(request.path, connection.pid, request.b)
        if request.a and self.depot is not None:
            self.depot.not_made(request.path)
        if writer is None and request.a:
            writer = self.writers.withdraw(request.path, connection.pid)
        if writer is None:
            return
        if not request.a:
            self.begin(writer, at)
            return
        self.writers.drop(writer)
        if writer.is_open:              # by what was known then it had made the file, which is another's
            self.tell(events.Closed(writer.description, is_lost=True, at=at))

    def begin(self, writer, at):
        """The announced open has happened."""
        if not writer.is_open:
            writer.is_open = True
            self.tell(events.Opened(writer.path, writer.step, writer.description, writer.is_truncated, at=at))

    def more(self, connection, request, at):
        """A reader has read all there is, or seen all entries."""
        path = request.path
        if request.path2:
            self.want(events.WantEntries, connection, request, at, upto=request.a)
            return
        self.grown(path, at)
        waiter = self.want(events.WantBytes, connection, request, at, upto=request.a)
        if waiter in self._asked and not self.is_elsewhere(path):
            self.watch.follow(path)
            self._followed[waiter] = path
            self.grown(path, at)        # between the two looks
            self.next_look = at + _LATE_MODIFY_S

    def written(self, path, step, status, at):
        """A new file was made, written and closed, by one process, since the last events."""
        self.tell(events.Written(path, step, status.st_size, at=at))
        if path in self._fresh:
            self._fresh[path] = status

    def grown(self, path, at):
        if self.is_elsewhere(path):
            return
        try:
            # copies are whole when they have all of the size that the file has now
            kind = events.Grown if self.nodes is None or self.nodes.is_shared else events.Truncated
            self.tell(kind(path, os.stat(path).st_size, at=at))
        except OSError:
            return                      # it is gone; the kernel tells that too
        if self.nodes is not None:
            self.nodes.grown()

    def is_elsewhere(self, path):
        """True for a copy of another node's file."""
        return self.nodes is not None and self.nodes.has_copy(path)

    def look(self, at):
        """Look at the files that somebody waits for: not every way of writing is told."""
        for path in set(self._followed.values()):
            self.grown(path, at)
        is_late = self.nodes is not None and self.nodes.look()
        self.next_look = at + _LATE_MODIFY_S if self._followed or is_late else None

    def look_soon(self, at):
        if self.next_look is None:
            self.next_look = at + _LATE_MODIFY_S

    def _unfollow(self, waiter):
        path = self._followed.pop(waiter, None)
        if path is not None:
            self.watch.unfollow(path)

    def cancel(self, connection, at):
        """The program has gone away from its question."""
        if connection.waiter is not None:
            self._asked.pop(connection.waiter, None)
            self._unfollow(connection.waiter)
            self.tell(events.Cancelled(connection.waiter, at=at))
            connection.waiter = None

    def release_below(self, path, at):
        """The path is a file: who waits for something below it waits for nothing."""
        for waiter, asked in list(self._asked.items()):
            if asked.request.path.startswith(path + "/"):
                self.tell(events.Cancelled(waiter, at=at))
                self._go(actions.Go(waiter))

    def will_vanish(self, path, plan=None):
        """Write down a file that this run makes, for a next server to remove if this one is killed."""
        if path in self._vanishing:
            return
        plan = plan or self.workflow.look(path)
        if vanishes(plan):
            self._vanishing.add(path)
            self.place.will_vanish(path)
        elif self.keeping is not None and stays(plan):
            self.keeping.expects(path)

    def posted(self, posts, step_of):
        """Processes have posted what they make: [(pid, path, post)]. step_of(pid): the step of a process."""
        new = [path for _, path, _ in posts if path not in self._vanishing and vanishes(self.workflow.look(path, False))]
        if new:
            self._vanishing.update(new)
            self.place.will_vanish(*new)
        if self.keeping is not None:
            self.keeping.expects(*(path for _, path, _ in posts if stays(self.workflow.look(path, False))))
        for pid, path, post in posts:
            self.writers.expect(path, step_of(pid), pid, post)

    def is_copy(self, path):
        """Write down a copy of another node's file, which goes with the run whatever it is."""
        if path not in self._vanishing:
            self._vanishing.add(path)
            self.place.will_vanish(path)

    def stays(self, path):
        """A copy is at its home: it is the file now, and permanent."""
        self._vanishing.discard(path)
        self.place.will_stay(path)
        if self.keeping is not None:
            self.keeping.expects(path)

    def settle(self):
        """At the end: files that stay, and lie in the depot, are put where their names are."""
        for path in self.depot.paths(self.workflow.capio_dir) if self.depot is not None else ():
            try:
                keeping.settle(path)
            except OSError as error:
                self.place.owes(path, (self.workflow.capio_dir, None))
                self._note(actions.Note(f"{keeping.stays(path, 'its name', error)}, and is tried again by the next server"))

    def end_of_node(self):
        """Here, where other nodes serve too, the run has ended: who waits is told, what isn't permanent goes."""
        for waiter in list(self._asked):
            self._refuse(actions.Refuse(waiter, errno.EIO, "the workflow has ended"))
        for path in sorted(self._vanishing, reverse=True):
            places.remove(path)


def _found(path):
    """What lies there now, as the rules want to know it."""
    try:
        return "directory" if stat.S_ISDIR(os.stat(path).st_mode) else "file"
    except OSError:
        return ""


_DO = {actions.Go: Desk._go, actions.Refuse: Desk._refuse, actions.Committed: Desk.committed, actions.Delete: Desk._delete,
       actions.Note: Desk._note, actions.Fetch: Desk._fetch}
