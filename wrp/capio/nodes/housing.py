"""Files come to their homes: node 0 says which node that is, there what is permanent stays, and goes where it was made. Runs in the server's thread."""

import os
import time

from wrp.capio.nodes import names
from wrp.capio.nodes.homes import Homes
from wrp.capio.rules import actions, events


class Housing:
    """One node's part. `path`, `name`: between the paths here and the names between nodes."""

    def __init__(self, links, desk, sender, receiver, path, name):
        self._links, self._desk, self._sender, self._receiver = links, desk, sender, receiver
        self._path, self._name, self._ends_by = path, name, None
        self._homes = Homes(desk.workflow.look, name, links.nodes)
        self._housed = {}               # {path: its home}, on all nodes
        self._sent = {}                 # {(path, node): number of the sending}, of what was made here
        self._kept = {}                 # {path: (node, number) of the sending} of what was made here and is whole at its home, or has come to its home here

    def after(self, event):
        """Node 0: the rules know of this."""
        if isinstance(event, events.ProcessJoined):
            for path in self._homes.meets(event.step, names.split(event.process)[0]):
                self._house(path, event.at)
        elif isinstance(event, (events.Created, events.Opened, events.Renamed)) and not getattr(event, "is_directory", False):
            self._house(event.path, event.at)
        elif isinstance(event, events.Removed) and event.path in self._housed:
            self._tell_all("unhoused", event.path)

    def _house(self, path, at):
        home = self._homes.of(path)
        if home is not None and path not in self._housed and self._desk.workflow.look(path).producers:
            self._tell_all("housed", path, home)
            self._desk.tell(events.Housed(path, home, at=at))

    def _tell_all(self, what, path, *more):
        self._links.tell_all(what, self._name(path), *more)
        TAKE[what](self, self._links.node, self._name(path), *more)

    def _is_housed(self, node, name, home):
        self._housed[self._path(name)] = home
        self.has_come(self._path(name))

    def _is_gone(self, node, name):
        self._housed.pop(self._path(name), None)
        self.begins(self._path(name))

    def may_keep(self, path, node):
        """True where the node's copy of a permanent file may be all that there is of it at the end: what was sent of it early isn't taken on trust."""
        plan = self._desk.workflow.look(path)
        return plan.permanent and plan.home.policy != "create" and self._housed.get(path, node) == node

    def begins(self, path):
        """A copy begins to come, or its file is gone: what came of one of this name before goes as copies do."""
        if self._kept.pop(path, None) is not None:
            self._desk.is_copy(path)

    def sends(self, path, node, number):
        """A file of this node is sent to another one."""
        self._sent[path, node] = number

    def has_come(self, path):
        """A permanent file all of which has come to its home stays there; the node that made it may let its own go."""
        whole = self._receiver.whole(path)
        if self._housed.get(path) == self._links.node and whole is not None and path not in self._kept and self._desk.workflow.look(path).permanent:
            self._kept[path] = whole
            self._desk.stays(path)
            self._links.send(whole[0], "kept", self._name(path), whole[1])

    def _is_kept(self, node, name, number):
        self._kept[self._path(name)] = node, number

    def forget(self, path):
        """The file is gone at its home, here: the one that it was made of is all there is."""
        if path in self._kept:
            self._links.send(self._kept.pop(path)[0], "unkept", self._name(path))

    def _is_not_kept(self, node, name):
        self._kept.pop(self._path(name), None)

    def renamed(self, source, path):
        """The file has another name, and the home that it had."""
        for known in (self._housed, self._kept):
            if source in known:
                known[path] = known.pop(source)
        for was, node in [key for key in self._sent if key[0] == source]:
            self._sent[path, node] = self._sent.pop((was, node))

    def is_moving(self):
        """True while a permanent file that is complete is on its way to its home, from here or to here; not for longer than a node may be silent."""
        now = time.monotonic()
        self._ends_by = self._ends_by or now + self._links.silent_s
        return now < self._ends_by and any(self._is_on_its_way(path, home) for path, home in self._housed.items())

    def _is_on_its_way(self, path, home):
        if path not in self._desk.account.files or not self._desk.workflow.look(path).permanent:
            return False
        if home == self._links.node:
            return path not in self._desk.own and path not in self._kept
        return path in self._desk.own and home not in self._links.is_silent and self._kept.get(path) != (home, self._sent.get((path, home)))

    def let_go(self):
        """At the end: what was made here and is at its home goes, unless it has changed since it was complete."""
        for path, (home, number) in self._kept.items():
            whole = self._sender.whole.get(number) if path in self._desk.own else None
            if whole is None:
                continue
            try:
                found = os.stat(path)
            except OSError:
                continue
            if (whole.st_ino, whole.st_size, whole.st_mtime_ns) == (found.st_ino, found.st_size, found.st_mtime_ns):
                os.unlink(path)
            else:
                self._desk.do(actions.Note(f"{path} has changed since it was complete: it stays here, and as it was then on {self._links.host(home)}"))


# messages between nodes: (self, the node that tells, ...)
TAKE = {"housed": Housing._is_housed, "unhoused": Housing._is_gone, "kept": Housing._is_kept, "unkept": Housing._is_not_kept}
