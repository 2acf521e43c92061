"""Roster: who stands where among the members of a set, which of them are out, and the labels that say so. What lies on them is rows.py's."""

import logging
from dataclasses import replace
from threading import Lock

from wrp.comm.refusals import is_refusal, tolerant
from wrp.errors import StoreError
from wrp.runtime.devices.safe import label as labels
from wrp.runtime.devices.safe.layout import Groups

_log = logging.getLogger("wrp.runtime")


class Roster:
    """See array.Array."""

    def __init__(self, members, label, board, opener, syncs=True, may_write=True):
        self.members, self.board = list(members), board
        self._know(label)
        self.syncs, self.may_write = syncs, may_write
        self.is_ending = False              # its process is about to close it: what takes long gives up
        self._opener, self._seen = opener, board.version
        self._turns = board.turns()
        self._retired, self._changing = [], Lock()

    def _know(self, label):
        self.label, self.groups, self._gone = label, Groups(label.groups), mask(label.gone)

    @property
    def failures(self):
        """How many members may go."""
        return len(self.label.parity)

    def columns(self, group):
        """Positions of the members of a row."""
        return (*group.members, *self.label.parity)

    def refresh(self):
        """Know what others have changed since the last look."""
        if self.board.version == self._seen and self.may_write:
            return
        with self._changing:
            self._refresh()

    def _refresh(self):
        seen = self.board.version
        if seen != self._seen or not self.may_write and self._newest_generation() != self.label.generation:
            found = [label for position, member in enumerate(self.members) if self.is_in(position) for label in [read_label(member)] if label is not None]
            self.take(max(found, key=lambda label: (label.generation, label.active), default=self.label))
            self._seen = seen
            if not self.may_write:
                self.board.set(mask(self.label.out) | mask(position for position, member in enumerate(self.members) if member is None) & ~self._gone)
                self._seen = self.board.version

    def _newest_generation(self):
        """Of who doesn't see the board: a label is newer than its own once a member has missed something."""
        newest = self.label.generation
        for member in self.members:
            with tolerant():
                newest = max(newest, labels.generation(member) if member is not None else 0)
        return newest

    def begin(self, turns, seen):
        """The members were opened when the board had these turns and this version."""
        self._turns, self._seen = turns, seen

    def take(self, label):
        """Go on with another label: open the members that it names more, and those for which another file stands in by now; let those go that were removed."""
        turns = self.board.turns()          # before the files are opened: a later one is seen next time
        for position, path in enumerate(label.paths):
            if position == len(self.members):
                self.members.append(self._tried(position, path))
            elif self._has_moved(position, path, turns):
                self._put_in(position, self._tried(position, path))
        self._turns = turns
        self._know(label)

    def _has_moved(self, position, path, turns):
        member = self.members[position]
        if not path:
            return member is not None
        if turns[position] != self._turns[position] or member is not None and member.path != path:
            return True
        return not self.may_write and (member is None or not member.is_there)       # nobody tells it of turns

    def _tried(self, position, path):
        try:
            return self._opener(position, path) if path else None
        except OSError as error:
            if not is_refusal(error):
                raise
            return None

    def replace(self, position, member):
        """Another file stands at a position, for all processes once the version changes. With the labels' token held."""
        with self._changing:
            self._put_in(position, member)
            self.board.turn(position)
            self._turns = self.board.turns()

    def _put_in(self, position, member):
        # other threads may be about to use the old one: its descriptor stays until the end
        self._retired += self.members[position:position + 1]
        self.members[position:position + 1] = [member]

    def _now(self, position):
        """The member that stands at a position now, after a look at the board said that it is used; None where it isn't there."""
        if self.may_write:
            self.refresh()
        return self.members[position]

    def is_in(self, position):
        """It is read."""
        return not (self.board.out | self._gone) >> position & 1

    def is_written(self, position):
        out = self.board.out
        return not ((out and out & ~self.board.joining) | self._gone) >> position & 1

    def lose(self, position, error, must=True):
        """A member doesn't answer: from now on it counts as gone. StoreError when too many are, unless it needn't be said (`must`)."""
        with self.board.labels():
            self.refresh()
            if not self.is_written(position):
                return
            if not self.is_in(position):           # it was being rebuilt
                # in the labels too, of which some may say that it is in, where who has rebuilt it was killed
                self.write_labels(self.label.next(), self.board.out, self.board.joining & ~(1 << position))
                return
            out = self.board.out | 1 << position
            if out.bit_count() > self.failures:
                if must:
                    self.board.break_off()
                    raise StoreError(f"safe device: more than {self.failures} of its members fail, {self.label.paths[position]} ({_said(error)}) the last of them: "
                                     f"bring them back and open it again") from error
                return
            _log.warning("member %s of a safe device fails (%s): what it holds is read from the others until it is recovered", self.label.paths[position], _said(error))
            self.write_labels(self.label.next(), out, self.board.joining)

    def write_labels(self, label, out, joining=0):
        """Let every member that is in have a new label; with the labels' token held. Those that fail go out, too."""
        for active in (False, True):
            label = replace(label, active=active, out=positions_of(out))
            for position, member in enumerate(self.members):
                if not (out | mask(label.gone)) >> position & 1:
                    try:
                        labels.write(member, replace(label, position=position))
                        if self.syncs:
                            member.sync()
                    except OSError as error:
                        if not is_refusal(error):
                            raise
                        more = out | 1 << position
                        if more.bit_count() > self.failures:
                            self.board.break_off()
                            raise StoreError(f"safe device: its members fail, {member.path} ({_said(error)}) the last of them") from error
                        return self.write_labels(label.next(), more, joining & ~(1 << position))
        self._know(label)
        self.board.name(label.paths)
        self.board.set(out, joining)
        self._seen = self.board.version
        return None

    def each(self, positions, action):
        """Do something with each member that is written. Those that fail go out; StoreError when too many do."""
        for position in positions:
            if self.is_written(position):
                try:
                    if self._now(position) is None:
                        raise OSError(2, "it isn't there for this process")
                    action(position)
                except OSError as error:
                    if not is_refusal(error):
                        raise
                    self.lose(position, error)

    def close(self):
        for member in (*self.members, *self._retired):
            if member is not None:
                member.close()


def read_label(member):
    """The Label of a member; None where there is none, or it can't be read."""
    try:
        return labels.read(member) if member is not None else None
    except OSError as error:
        if not is_refusal(error):
            raise
        return None


def mask(positions):
    return sum(1 << position for position in positions)


def positions_of(bits):
    return tuple(position for position in range(bits.bit_length()) if bits >> position & 1)


def _said(error):
    return getattr(error, "strerror", None) or error
