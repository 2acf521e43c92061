"""One node's part in a workflow over several: who is told what, and when bytes go where. Runs in the server's thread."""

import itertools
import os
import time

from wrp.capio.language.plan import NO_UPDATE
from wrp.capio.nodes import housing, lagging, names
from wrp.capio.nodes.receiving import Receiver
from wrp.capio.nodes.sending import Sender
from wrp.capio.rules import actions, events

_TO_ONE, _TO_ALL = (actions.Go, actions.Refuse), (actions.Committed,)


class Far:
    """The rules as a node that hasn't got them sees them: events go there, answers come as messages."""

    next_deadline = None

    def __init__(self, nodes):
        self._nodes = nodes

    def handle(self, event):
        nodes = self._nodes
        if not isinstance(event, (events.WorkflowEnded, events.Clock)):
            nodes.links.send(0, "event", names.packed(event, nodes.node, nodes.folder, 0 if nodes.is_shared else None))
        return ()

    def steps(self):
        return []

    files = who_waits = steps

    def is_complete(self, path):
        """Node 0 knows."""
        return False


class Nodes:
    """Joined to a Server: `server.nodes`. `end_all()` ends the servers of all nodes. `is_shared`: all have one CAPIO_DIR, so for the rules all files are on
    node 0, and no byte moves."""

    def __init__(self, links, server):
        self.links, self._server, self._desk, self.node = links, server, server.desk, links.node
        self.folder, self._listed, self._people, self._fetched = server.capio_dir, {}, {}, {}
        self._untold = {}               # {path: (bytes, key of the sending)} of copies here that have grown since the rules were told
        self._sender, self._receiver = Sender(links, self._is_unread), Receiver(links, self._has_come)
        self._receiver.place = self._place
        self._followed, self._launched = [], {}
        self._sendings, self._over = {}, set()          # node 0: {(path, node): (home, number) of what is sent}, and those of files that are gone
        self._collecting, self._numbers = {}, itertools.count(1)
        self._desk.nodes, self.is_shared, self._late = self, links.is_shared, {}
        self.housing = housing.Housing(links, self._desk, self._sender, self._receiver, self._path, self._name)
        self._lagging = lagging.Lagging(links.silent_s)
        if self.node:
            self._desk.machine = Far(self)

    def fileno(self):
        return self.links.bell

    def has_copy(self, path):
        """True when the file, or directory, is here because another node made it."""
        return self._receiver.has(path)

    def _path(self, name):
        return names.absolute(name, self.folder)

    def _name(self, path):
        return names.relative(path, self.folder)

    # what this node's server tells

    def take_action(self, action):
        """True when an action of the rules is another node's alone."""
        if self.node:
            return False
        if isinstance(action, _TO_ONE):
            node, waiter = names.split(action.waiter)
            if node:
                more = (action.size, action.is_final) if isinstance(action, actions.Go) else (action.errno, action.sentence)
                self.links.send(node, type(action).__name__, waiter, *more)
            return bool(node)
        if isinstance(action, _TO_ALL):
            self.links.tell_all("Committed", self._name(action.path), action.size)
            return self._is_late(action)
        elif isinstance(action, actions.Fetch):
            self._fetch(action)
            return True
        return False

    def before(self, event):
        """What other nodes are told before the rules answer: entries of directories that they list, new names of their copies."""
        if self.node:
            return
        if isinstance(event, (events.WantOpen, events.WantStat, events.WantEntries)) and event.node and event.path not in self._listed.get(event.node, ()):
            if self._desk.workflow.look(event.path).is_directory:
                self._listed.setdefault(event.node, set()).add(event.path)
                self.links.send(event.node, "folder", self._name(event.path))
                for file in self._desk.machine.files():
                    if os.path.dirname(file.path) == event.path and file.is_born:
                        self._entry(event.node, file.path, file.home, file.is_directory)
        elif isinstance(event, events.Removed):
            self._ends_sendings(event.path)
        elif isinstance(event, events.Renamed):
            self._ends_sendings(event.path)
            for known in [known for known in self._sendings if known[0] == event.source]:
                self._sendings[event.path, known[1]] = self._sendings.pop(known)
            self.links.tell_all("renamed", self._name(event.source), self._name(event.path))
            self._renamed(0, event.at, self._name(event.source), self._name(event.path))
        if isinstance(event, (events.Created, events.Renamed)):
            for node, folders in self._listed.items():
                if os.path.dirname(event.path) in folders:
                    self._entry(node, event.path, event.node, getattr(event, "is_directory", False))
        elif isinstance(event, events.ProcessJoined):
            self._people[event.process] = names.split(event.process)[0]

    def after(self, event):
        """What follows when the rules know of it."""
        if not self.node and not self.is_shared:
            self.housing.after(event)

    def _entry(self, node, path, home, is_directory):
        if node != home and self._desk.workflow.look(path).waits and not is_directory:
            self.links.send(node, "entry", self._name(path))

    def _fetch(self, action):
        """Node 0: have the node that made a file send it to one that reads it."""
        self._fetched[action.path, action.node] = action.home
        if action.home in self.links.is_silent:
            self._lost(action.path, action.node, action.home)
        elif action.home == 0:
            self._send(action.path, action.node, self._desk.machine.is_committed(action.path))
        else:
            self.links.send(action.home, "fetch", self._name(action.path), action.node, self._desk.machine.is_committed(action.path))

    def _lost(self, path, node, home):
        self._desk.tell(events.CopyLost(path, node, f"node {home} ({self.links.host(home)}), which made it, is silent", at=time.monotonic()))

    def _send(self, path, node, is_complete):
        may_change = self._desk.workflow.look(path).mode != NO_UPDATE or not is_complete and self.housing.may_keep(path, node)
        self._desk.watch.follow(path)
        self._followed.append(path)
        try:
            number = self._sender.begin(path, self._name(path), node, may_change)
            self.housing.sends(path, node, number)
            if self.node:
                self.links.send(0, "sends", self._name(path), node, number)
            else:
                self._sends(0, None, self._name(path), node, number)
        except OSError as error:
            self._unread(self.node, time.monotonic(), path, node, error)
            return
        if is_complete:
            self._sender.completed(path)

    def catch_up(self, path):
        """Somebody here begins to wait: the rules hear how much of the copy has come while nobody did."""
        if path in self._untold:
            found, key = self._untold.pop(path)
            self._tell(events.Arrived(path, self.node, found, at=time.monotonic()), key)

    def _tell(self, event, key=None):
        """An event whose node is said in it already; `key`: of the sending that it is about, of which nobody hears once its file is gone."""
        if self.node:
            kind, fields = events.to_record(event)
            self.links.send(0, "event", [kind, dict(fields, path=self._name(event.path))], key)
        elif key is None or tuple(key) not in self._over:
            self._desk.tell(event)

    def _sends(self, node, at, name, to, number):
        """Node 0: a file is sent to a node."""
        self._sendings[self._path(name), to] = node, number

    def _ends_sendings(self, path):
        for known in [known for known in self._sendings if known[0] == path]:
            self._over.add(self._sendings.pop(known))

    def grown(self):
        """Some file of this node has more bytes."""
        self._sender.grown()

    def completed(self, path):
        """A file is complete: True when it is this node's own, so that its readers here may see its end now."""
        self._sender.completed(path)
        while path in self._followed:
            self._followed.remove(path)
            self._desk.watch.unfollow(path)
        return not self._receiver.has(path)

    def _has_come(self, copy, found):
        """The receiver's thread: so many bytes of a copy are here, or an error."""
        self.links.inbox.append((self.node, ["came", copy, found]))
        os.eventfd_write(self.links.bell, 1)

    def _is_unread(self, path, node, error):
        """The sender's thread: a file of this node can't be read for another one."""
        self.links.inbox.append((self.node, ["unread", path, node, error]))
        os.eventfd_write(self.links.bell, 1)

    # what other nodes tell

    def take(self, at):
        """Do what the messages say that have come."""
        try:
            os.eventfd_read(self.links.bell)
        except BlockingIOError:
            return
        while self.links.inbox:
            node, (what, *more) = self.links.inbox.popleft()
            _TAKE[what](self, node, at, *more)

    def _event(self, node, at, record, key=None):
        if key is not None and tuple(key) in self._over:
            return
        event = names.unpacked(record, self.folder, at)
        if isinstance(event, events.StepStarted):
            self._launched.setdefault(node, []).append(event.step)
        elif isinstance(event, events.StepEnded) and event.step in self._launched.get(node, ()):
            self._launched[node].remove(event.step)
        self._desk.tell(event)

    def _go(self, node, at, waiter, size, is_final):
        self._desk.do(actions.Go(waiter, size, is_final))

    def _refuse(self, node, at, waiter, errno, sentence):
        self._desk.do(actions.Refuse(waiter, errno, sentence))

    def _committed(self, node, at, name, size):
        action = actions.Committed(self._path(name), size)
        if not self._is_late(action):
            self._desk.committed(action)

    def _is_late(self, action):
        """True for a complete file whose end isn't to be believed here yet; `look` says when it is."""
        if self.is_all_here(action.path, action.size):
            return False
        self._late[action.path] = action
        self._desk.look_soon(time.monotonic())
        return True

    def is_all_here(self, path, nbytes):
        """False for a file of another node, in a shared directory, that shows fewer bytes here than it has there."""
        if not self.is_shared or path in self._desk.own:
            return True
        try:
            return os.path.isdir(path) or os.stat(path).st_size >= nbytes
        except OSError:
            return False

    def look(self):
        """Look at what is late; True while something is."""
        for path, action in list(self._late.items()):
            if self.is_all_here(path, action.size) or not os.path.lexists(path):
                del self._late[path]
                self._desk.committed(action)
        self._lagging.look(time.monotonic())
        return bool(self._late or self._lagging)

    def holds(self, connection, request, action, reply):
        """True for a reader in a shared directory who may have more, or all, of what another node has made, which isn't seen here yet: it is answered later."""
        is_directory = bool(request.path2)
        wanted = action.size if action.is_final else request.a
        if not self.is_shared or request.path in self._desk.own or is_directory and action.is_final or lagging.there(request.path, is_directory) >= wanted:
            return False
        self._lagging.hold(connection, request, wanted, reply, time.monotonic())
        self._desk.look_soon(time.monotonic())
        return True

    def joins(self, path):
        """A process here is about to make something in a folder that another node may have made, of which the kernel didn't tell here."""
        folder = os.path.dirname(path)
        if self.is_shared and not self._desk.watch.knows(folder) and os.path.isdir(folder):
            self._desk.watch.add_tree(folder)

    def _fetch_here(self, node, at, name, to, is_complete):
        self._send(self._path(name), to, is_complete)

    def _begin(self, node, at, number, name, mode, is_streamed):
        self._make(self._path(name), (node, number), mode, is_streamed)

    def _confirmed(self, node, at, number):
        self._sender.confirmed(number)

    def _entry_here(self, node, at, name):
        path = self._path(name)
        if not os.path.lexists(path):
            self._make(path, None, 0o600)
        self._desk.table.bump(os.path.dirname(path))

    def _folder_here(self, node, at, name):
        path = self._path(name)
        if not os.path.isdir(path):
            self._make(f"{path}/", None, 0)

    def _make(self, path, key, mode, is_streamed=False):
        """Make a copy; what is made for it is written down before, so that it goes with the run."""
        if os.path.lexists(path) and not self._receiver.has(path):
            self._lose(path, key, is_streamed, f"another file of this name lies on {self.links.host(self.node)}: remove it")
            return
        try:
            for folder in self._receiver.missing(path):
                self._desk.is_copy(folder)
                self._receiver.make_folder(folder)
            if not path.endswith("/"):
                self._desk.is_copy(path)
                self._receiver.begin(path, key, mode, is_streamed)
                if key is not None:
                    self.housing.begins(path)
        except OSError as error:
            self._lose(path, key, is_streamed, f"it can't be written there: {error.strerror}")

    def _place(self, path):
        if self._desk.depot is not None:
            self._desk.depot.make(path, self._desk.workflow.look(path))

    def _lose(self, path, key, is_streamed, why):
        if key is not None:
            self._receiver.refuse(key, is_streamed)         # it comes all the same
        self._tell(events.CopyLost(path, self.node, why, at=time.monotonic()), key)

    def _came_here(self, node, at, copy, found):
        if not self._receiver.is_current(copy):
            return
        if isinstance(found, OSError):
            self._tell(events.CopyLost(copy.path, self.node, f"it can't be written there: {found.strerror}", at=at), copy.key)
            return
        if not copy.is_whole and self._desk.workflow.look(copy.path).mode != NO_UPDATE:
            return                      # what has come may change until the file is complete
        if copy.is_whole:
            self._desk.table.commit(copy.path)
            self.housing.has_come(copy.path)
        else:
            self._desk.table.bump(copy.path)
        self._untold[copy.path] = found, copy.key
        if copy.is_whole or not found or self._desk.is_asked(copy.path):        # that it begins, and that it ends, is always told
            self.catch_up(copy.path)

    def _unread(self, node, at, path, to, error):
        self._tell(events.CopyLost(path, to, f"it can't be read where it was made: {error.strerror}", at=at))

    def _renamed(self, node, at, source, name):
        if source:
            self._sender.renamed(self._path(source), self._path(name), name)
            if self._receiver.renamed(self._path(source), self._path(name)) and self._desk.depot is not None:
                self._desk.depot.renamed(self._path(source), self._path(name), False)
            if self._path(source) in self._untold:
                self._untold[self._path(name)] = self._untold.pop(self._path(source))
            self.housing.renamed(self._path(source), self._path(name))

    def forget(self, path):
        """A copy is gone from here; True when it was one. A name that is there again is a later copy's."""
        if os.path.lexists(path):
            return self._receiver.has(path)
        self.housing.forget(path)
        self._untold.pop(path, None)
        return self._receiver.forget(path)

    def _silent(self, node, at):
        """A node doesn't answer any more."""
        self._sender.lost(node)
        for number, (_, missing, _) in list(self._collecting.items()):
            missing.discard(node)
            self._collected(number)
        if self.node and node == 0:
            self._desk.do(actions.Note(f"node 0 ({self.links.host(0)}), which has the rules of the workflow, is silent"))
            self._server.end()
        elif not self.node:
            self._desk.do(actions.Note(f"node {node} ({self.links.host(node)}) is silent: its processes count as killed"))
            for (path, to), home in list(self._fetched.items()):
                if home == node:
                    self._lost(path, to, home)
            for process, home in list(self._people.items()):
                if home == node:
                    del self._people[process]
                    self._desk.tell(events.ProcessLeft(process, None, 9, at=at))
            for step in self._launched.pop(node, ()):
                self._desk.tell(events.StepEnded(step, None, 9, at=at))

    def _end(self, node, at):
        self._server.end()

    def _out(self, node, at):
        """The others have given this node up, and go on without it."""
        self.links.is_out = True
        self.links.is_silent.update(self.links.others())
        self._desk.do(actions.Note(f"node {node} hasn't heard of this one for too long, and goes on without it"))
        self._server.end()

    # what commands ask of all nodes

    def collect(self, what, done):
        """done([value]) when every node that isn't silent has said its value, "status" or "report", in the order of the nodes."""
        number, others = next(self._numbers), self.links.others()
        self._collecting[number] = {self.node: self._value(what, time.monotonic())}, set(others), done
        for node in others:
            self.links.send(node, "tell", number, what)
        self._collected(number)

    def _collected(self, number):
        found, missing, done = self._collecting[number]
        if not missing:
            del self._collecting[number]
            for value in found.values():
                value["reads"] = [use | {"path": self._path(use["path"])} for use in value.get("reads", ())]
            done([found[node] for node in sorted(found)])

    def _value(self, what, at):
        value = self._server.control.of_node(what, at)
        return value | {"reads": [use | {"path": self._name(use["path"])} for use in value.get("reads", ())]}

    def _say(self, node, at, number, what):
        self.links.send(node, "told", number, self._value(what, at))

    def _told(self, node, at, number, value):
        if number in self._collecting:
            found, missing, _ = self._collecting[number]
            found[node] = value
            missing.discard(node)
            self._collected(number)

    def end_all(self):
        """The servers of all nodes end."""
        self.links.tell_all("end")

    def close(self):
        """Stop sending and receiving; local."""
        self._sender.close()
        self._receiver.close()


_TAKE = {"event": Nodes._event, "sends": Nodes._sends, "confirmed": Nodes._confirmed, "Go": Nodes._go, "Refuse": Nodes._refuse, "Committed": Nodes._committed, "fetch": Nodes._fetch_here,
         "begin": Nodes._begin, "entry": Nodes._entry_here, "folder": Nodes._folder_here, "came": Nodes._came_here, "unread": Nodes._unread,
         "renamed": Nodes._renamed, "tell": Nodes._say, "told": Nodes._told,
         **{what: lambda nodes, node, at, *more, take=take: take(nodes.housing, node, *more) for what, take in housing.TAKE.items()},
         "silent": Nodes._silent, "end": Nodes._end, "out": Nodes._out}
