"""What the kernel tells of files becomes events of the rules: who made them, which description was closed, what a rename means."""

import os

from wrp.capio.rules import actions, events
from wrp.capio.server import endings, watch


class Happenings:
    """Turns what a Watch has seen into events for the desk."""

    def __init__(self, desk, is_known, has_opened):
        """`is_known(pid)`: the end of this process will be told; `has_opened(writer)`: what was announced has happened."""
        self._desk, self._from, self._changed = desk, {}, set()
        self._is_known, self._has_opened = is_known, has_opened
        self._unsure = set()            # files that were closed while there were other writers: the kernel may have told of several closes once

    def take(self, seen, at):
        """One batch of what the kernel saw, in its order; but a file that is made and closed in it, as posted, is told of at once."""
        made, ending = {}, {}           # files whose making isn't told of yet; pid: it is ending
        depot = self._desk.depot
        for one in seen if depot is None else filter(None, map(depot.translated, seen)):
            if one.what == watch.CREATE and not one.is_directory and not one.is_found and self._desk.nodes is None and self._desk.writers.only(one.path):
                made[one.path] = one
            elif one.what == watch.CLOSE_WRITE and one.path in made:
                if not self._written(one.path, ending, at):
                    self._take(made[one.path], at)
                    self._take(one, at)
                del made[one.path]
            else:
                if made and (one.path in made or one.what not in (watch.CREATE, watch.CLOSE_WRITE)):
                    self._take_all(made, at)
                self._take(one, at)
        self._take_all(made, at)
        for path in self._from.values():        # moved out of the tree
            self._forget(path)
            self._left(path)
            self._desk.tell(events.Removed(path, at=at))
        self._from.clear()
        for folder in self._changed:
            self._desk.table.bump(folder)
        self._changed.clear()
        if depot is not None:
            depot.settle()

    def _take(self, one, at):
        if not self._desk.is_elsewhere(one.path):
            _TAKE[one.what](self, one, at)
        elif one.what == watch.DELETE:
            self._desk.nodes.forget(one.path)
            self._gone(one.path)

    def _take_all(self, made, at):
        for one in made.values():
            self._take(one, at)
        made.clear()

    def _written(self, path, ending, at):
        """Tell of a new file from its making to its close; False where more has to be known of it."""
        step, pid = self._desk.writers.only(path)
        if pid not in ending:           # whether it was killed is known when it has ended
            ending[pid] = endings.is_ending(pid)
        try:
            status = os.stat(path)
        except OSError:
            return False
        if ending[pid]:
            return False
        self._desk.writers.is_done(path)
        self._desk.written(path, step, status, at)
        self._changed.add(path.rpartition("/")[0])
        self._desk.release_below(path, at)
        return True

    def _left(self, path):
        for known in self._desk.depot.left(path) if self._desk.depot is not None else ():
            self._desk.do(actions.Note(f"{known} was moved out of CAPIO_DIR by a program whose calls aren't seen: that is a link, and what it leads to goes with the run"))

    def _gone(self, path):
        if self._desk.depot is not None:
            self._desk.depot.gone(path)

    def _forget(self, path, is_directory=True):
        self._desk.forget(path, is_directory)

    def _author(self, path):
        """The step that made a file: who announced it, else the only step that may."""
        step = self._desk.writers.step_of(path)
        if step:
            return step
        producers = self._desk.workflow.look(path).producers
        return producers[0] if len(producers) == 1 else ""

    def _created(self, one, at):
        desk = self._desk
        desk.will_vanish(one.path)
        if desk.depot is not None:
            desk.depot.seen(one.path)
        makers = desk.writers.made(one.path)
        self._is_own(one.path)
        desk.tell(events.Created(one.path, self._author(one.path), one.is_directory, at=at))
        self._changed.add(one.path.rpartition("/")[0])
        if not one.is_directory:
            desk.release_below(one.path, at)
        for writer in makers:
            desk.begin(writer, at)
        if one.is_found and not one.is_directory and endings.is_written(one.path) is False:
            self._closed(one, at)       # written and closed before its directory was watched

    def _closed(self, one, at):
        desk, path = self._desk, one.path
        for writer in desk.writers.settled(path):
            desk.begin(writer, at)
        writer = desk.writers.closed(path, self._has_opened)
        if writer is None and not desk.writers.of(path):
            writer = desk.writers.announce(path, self._author(path), 0, False)      # of a program that the shim isn't in
        if writer is not None:
            self._ended(writer, at)
        if desk.writers.of(path):
            self._unsure.add(path)

    def _ended(self, writer, at):
        """The description is closed."""
        self._desk.begin(writer, at)
        if writer.pid and self._is_known(writer.pid) and endings.is_ending(writer.pid):
            writer.is_parting = True        # whether it was killed is known when it has ended
        else:
            self.close(writer, at, is_lost=False)

    @property
    def is_unsure(self):
        return bool(self._unsure) or self._desk.depot is not None and self._desk.depot.is_unsure

    def lost(self):
        """[writer] of those whose closes the kernel must have told of together with others', unless it tells of them in the events that come next."""
        paths, self._unsure = self._unsure, set()
        return [writer for path in paths for writer in self._desk.writers.lost_sight_of(path, self._has_opened)]

    def settle(self, lost, at):
        """What has come since `lost` is taken: those that are still there are closed."""
        for writer in lost:
            if writer in self._desk.writers.of(writer.path) and not writer.is_parting:
                self._ended(writer, at)

    def doubt(self, lost):
        """There was no time to settle this."""
        self._unsure.update(writer.path for writer in lost)

    def close(self, writer, at, is_lost):
        self._desk.grown(writer.path, at)
        self._desk.writers.drop(writer)
        self._desk.tell(events.Closed(writer.description, is_lost, at=at))

    def _is_own(self, path):
        if self._desk.nodes is not None:
            self._desk.own.add(path)

    def _moved_from(self, one, at):
        self._from[one.cookie] = one.path

    def _moved_to(self, one, at):
        desk, source = self._desk, self._from.pop(one.cookie, "")
        desk.will_vanish(one.path)
        self._forget(one.path, one.is_directory)
        self._forget(source, one.is_directory)
        self._is_own(one.path)
        step = desk.writers.renamer(source, one.path)
        desk.writers.renamed(source, one.path)
        if desk.depot is not None:
            desk.depot.renamed(source, one.path, one.is_directory)
        desk.tell(events.Renamed(source, one.path, step or self._author(one.path), _size(one.path), at=at))
        if not one.is_directory:
            desk.release_below(one.path, at)
        self._changed.add(one.path.rpartition("/")[0])

    def _removed(self, one, at):
        desk = self._desk
        for writer in desk.writers.of(one.path):
            if not writer.is_open and self._has_opened(writer):
                desk.begin(writer, at)          # before: it is of the file that is gone
        is_elsewhere = desk.depot is not None and desk.depot.holds(one.path)
        desk.forget(one.path)
        self._gone(one.path)
        desk.tell(events.Removed(one.path, at=at))
        for writer in [writer for writer in desk.writers.of(one.path) if is_elsewhere and writer.is_open]:
            self.close(writer, at, is_lost=False)       # the kernel tells of that by a number which means nothing any more

    def _modified(self, one, at):
        self._desk.grown(one.path, at)

    def _overflow(self, one, at):
        """The kernel's queue was full: look at everything that is open or expected."""
        desk = self._desk
        if desk.depot is not None:
            desk.depot.look_again(desk.workflow.capio_dir)
        for path in desk.writers.expected():
            if os.path.exists(path):
                desk.writers.made(path)
        for path in desk.writers.paths():
            if os.path.exists(path):
                desk.tell(events.Created(path, self._author(path), at=at))
                if endings.is_written(path) is False:
                    self._closed(watch.Seen(watch.CLOSE_WRITE, path), at)
        for path in desk.watch.rescan():
            desk.tell(events.EntryAppeared(os.path.dirname(path), os.path.basename(path), at=at))
            desk.table.bump(os.path.dirname(path))


def _size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


_TAKE = {watch.CREATE: Happenings._created, watch.CLOSE_WRITE: Happenings._closed, watch.FROM: Happenings._moved_from,
         watch.TO: Happenings._moved_to, watch.DELETE: Happenings._removed, watch.MODIFY: Happenings._modified,
         watch.OVERFLOW: Happenings._overflow}
