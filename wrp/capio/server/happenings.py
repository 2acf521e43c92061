"""What the kernel tells of files becomes events of the rules: who made them, which description was closed, what a rename means."""

import os

from wrp.capio.rules import events
from wrp.capio.server import endings, watch


class Happenings:
    """Turns what a Watch has seen into events for the desk."""

    def __init__(self, desk, is_known):
        """`is_known(pid)`: the end of this process will be told."""
        self._desk, self._from, self._is_known = desk, {}, is_known

    def take(self, seen, at):
        """One batch of what the kernel saw, in its order."""
        for one in seen:
            if not self._desk.is_elsewhere(one.path):
                _TAKE[one.what](self, one, at)
            elif one.what == watch.DELETE:
                self._desk.nodes.forget(one.path)
        for path in self._from.values():        # moved out of the tree
            self._desk.table.forget(path)
            self._desk.tell(events.Removed(path, at))
        self._from.clear()

    def _author(self, path):
        """The step that made a file: who announced it, else the only step that may."""
        step = self._desk.writers.step_of(path)
        producers = self._desk.workflow.look(path).producers
        return step or (producers[0] if len(producers) == 1 else "")

    def _created(self, one, at):
        desk = self._desk
        desk.will_vanish(one.path)
        desk.tell(events.Created(one.path, self._author(one.path), one.is_directory, at=at))
        desk.table.bump(os.path.dirname(one.path))
        if not one.is_directory:
            desk.release_below(one.path, at)
        for writer in list(desk.writers.of(one.path)):
            desk.begin(writer, at)
        if one.is_found and not one.is_directory and endings.is_written(one.path) is False:
            self._closed(one, at)       # written and closed before its directory was watched

    def _closed(self, one, at):
        desk, path = self._desk, one.path
        writers = list(desk.writers.closed(path))
        if not writers and not desk.writers.of(path):
            writer = desk.writers.announce(path, self._author(path), 0, False)      # of a program that the shim isn't in
            writers = [writer]
        for writer in writers:
            desk.begin(writer, at)
            if writer.pid and self._is_known(writer.pid) and endings.is_ending(writer.pid):
                writer.is_parting = True        # whether it was killed is known when it has ended
            else:
                self.close(writer, at, is_lost=False)

    def close(self, writer, at, is_lost):
        self._desk.grown(writer.path, at)
        self._desk.writers.drop(writer)
        self._desk.tell(events.Closed(writer.description, is_lost, at))

    def _moved_from(self, one, at):
        self._from[one.cookie] = one.path

    def _moved_to(self, one, at):
        desk, source = self._desk, self._from.pop(one.cookie, "")
        desk.will_vanish(one.path)
        desk.table.forget(one.path)
        desk.table.forget(source)
        step = desk.writers.renamer(source, one.path)
        desk.writers.renamed(source, one.path)
        desk.tell(events.Renamed(source, one.path, step or self._author(one.path), _size(one.path), at=at))
        if not one.is_directory:
            desk.release_below(one.path, at)
        desk.table.bump(os.path.dirname(one.path))

    def _removed(self, one, at):
        self._desk.table.forget(one.path)
        self._desk.tell(events.Removed(one.path, at))

    def _modified(self, one, at):
        self._desk.grown(one.path, at)

    def _overflow(self, one, at):
        """The kernel's queue was full: look at everything that is open or expected."""
        desk = self._desk
        for path in desk.writers.paths():
            if os.path.exists(path):
                desk.tell(events.Created(path, self._author(path), at=at))
                if endings.is_written(path) is False:
                    self._closed(watch.Seen(watch.CLOSE_WRITE, path), at)
        for path in desk.watch.rescan():
            desk.tell(events.EntryAppeared(os.path.dirname(path), os.path.basename(path), at))
            desk.table.bump(os.path.dirname(path))


def _size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


_TAKE = {watch.CREATE: Happenings._created, watch.CLOSE_WRITE: Happenings._closed, watch.FROM: Happenings._moved_from,
         watch.TO: Happenings._moved_to, watch.DELETE: Happenings._removed, watch.MODIFY: Happenings._modified,
         watch.OVERFLOW: Happenings._overflow}
