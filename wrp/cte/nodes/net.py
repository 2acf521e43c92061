"""Net: all nodes of a store as one rank sees them: calls at a home or everywhere, bytes that lie on other nodes."""

import time
from contextlib import suppress

from wrp.comm.refusals import let_out
from wrp.cte import pieces
from wrp.cte.nodes.asking import Asking
from wrp.cte.nodes.away import Away
from wrp.cte.nodes.far import Far
from wrp.cte.nodes.home import MODULE
from wrp.cte.nodes.mail import Mail, offset_in
from wrp.cte.placement.contract import LONG_TERM
from wrp.cte.records import RAM
from wrp.cte.targetnumbers import is_durable, on_node
from wrp.cte.targets import Wish
from wrp.errors import Corrupt, OutOfSpace, WrpError

_NAP_S = 0.5e-3


class Net:
    """calls: what this node is asked, {name: function}; naming: the NodesNaming among them. Made collectively over all ranks; everything else is local.

    far : {node: Far} of the other nodes
    """

    def __init__(self, parts, calls, naming):
        ranks, runtime = parts.ranks, parts.runtime
        self.calls, self._parts = calls, parts
        self.node, self.nodes = ranks.node, ranks.nodes
        self.others = frozenset(range(ranks.nodes)) - {ranks.node}
        mail = Mail(runtime)
        calls["send_away"] = self.send_away
        naming.net = self           # before anybody is asked
        limit_s = parts.config.get("networking.net_timeout")
        pool = runtime.pool("wrp_cte", MODULE, mail=mail, calls=calls, away=parts.tiers.away, limit_s=limit_s)
        self._asking = Asking(ranks, pool, mail, limit_s)
        self._away = Away(parts.tiers.away, parts.tiers.owner, lambda target: target if is_durable(target) else RAM, self._asking, ranks.rank)
        base = offset_in(runtime.segment, parts.tiers.ram) if parts.tiers.ram is not None else None
        self._bases = bases = dict(ranks.gather((ranks.node, base), "where the ram of every node begins"))
        parts.tiers.read_elsewhere = self._read_ram
        self.far = {node: Far(node, bases[node], runtime.remote, parts.tiers, self._asking, self._away) for node in sorted(self.others)}

    def at(self, node, call, *args):
        """What a call of Answering gives on a node, which may be this one. Raises what it raises there, WaitTimeout for a silent node."""
        return self.calls[call](*args) if node == self.node else self._asking.ask(node, call, *args)

    def in_time(self, node, call, *args):
        """The same of a call that must not be made later: a node that hears of it after an error of the wait does nothing."""
        if node == self.node:
            return self.calls[call](*args)
        question = self._asking.begun(node, call, *args)
        try:
            return question.answer()
        except BaseException:
            question.withdraw()
            raise

    def begin(self, node, call, *args):
        """A Question to another node."""
        return self._asking.begin(node, call, *args)

    def is_there(self, node):
        """False for another node that is silent; one that is known to be so costs no wait."""
        return self._asking.is_there(node)

    def answers(self, questions, without=()):
        """The values of questions under way, all of which are waited for; raises the first error of any. None in place of errors of the kinds `without`."""
        found, first = [], None
        for question in questions:
            try:
                found.append(question.answer())
            except without:
                found.append(None)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first
        return found

    def in_turn(self, begins, most, without=()):
        """As `answers`, of questions that functions begin: `most` at a time, or fewer, since each has memory of this node, and of the other, until it is answered.

        None is begun after an error.
        """
        found, under_way = {}, {}
        try:
            for number, begin in enumerate(begins):
                while len(under_way) >= most:
                    self._look(under_way, found, without)
                until = time.monotonic() + self._parts.ranks.timeout_s
                while (question := self._begun(begin, not under_way and time.monotonic() >= until)) is None:
                    if under_way:               # who has some of that memory doesn't wait for more
                        self._look(under_way, found, without)
                        until = time.monotonic() + self._parts.ranks.timeout_s
                    else:
                        time.sleep(_NAP_S)
                under_way[number] = question
        except BaseException:
            self._rest(under_way, found, without)
            raise
        first = self._rest(under_way, found, without)
        if first is not None:
            raise first
        return [found[number] for number in range(len(begins))]

    def _rest(self, under_way, found, without):
        """All that are under way are waited for: the first error, or None."""
        first = None
        while under_way:
            try:
                self._look(under_way, found, without)
            except Exception as error:
                first = first or error
        return first

    def _look(self, under_way, found, without):
        """The value of the first of the questions {number: Question} is `found`, or it is the last one from now on, since another is answered before it: ranks that all
        waited for their first ones, while answers to others have all memory of the other node, would never end."""
        number = next(iter(under_way))
        question = under_way.pop(number)
        try:
            if question.answered(lambda: any(other.is_answered for other in under_way.values())):
                found[number] = question.answer()
            else:
                under_way[number] = question
        except without:
            found[number] = None

    def _begun(self, begin, is_late):
        """A Question; None where ranks of this node have all memory for them, unless it is late."""
        try:
            return begin()
        except OutOfSpace:
            if is_late:
                raise
            return None

    def everywhere(self, call, *args):
        """What a call gives on every node, this one's first."""
        others, under_way = self.begin_each((node, call, *args) for node in sorted(self.others))
        try:
            own = self.calls[call](*args)
        finally:
            others += self.answers(under_way)
        return [own, *others]

    def begin_each(self, asked):
        """([values], [Question] under way): of the first and of the last of questions (node, call, *arguments) to other nodes. Where others have all memory for them,
        who has some of it waits for his answers, and not for more."""
        values, under_way = [], []
        for node, call, *args in asked:
            try:
                under_way.append(self.begin(node, call, *args))
            except OutOfSpace as error:
                let_out(error)
                values += self.answers(under_way)
                under_way = [self._asking.begun(node, call, *args)]
        return values, under_way

    def read(self, node, record, offset, out):
        """Fill `out` from the extents of another node's record; False when it was replaced meanwhile. Corrupt when it was not, and is damaged."""
        far = self.far[node]
        try:
            if record.raw:
                self._framing(far).read(record, offset, out)
            else:
                pieces.read(far.ahead(record, offset, out), record, offset, out)
        except Corrupt as error:
            let_out(error)
            if self._still(node, record):
                raise
            return False
        # a part of an extent in ram has no checksum of its own
        is_checked = len(out) == record.size or all(extent[0] != RAM for extent in record.extents)
        return is_checked or self._still(node, record)

    def _still(self, node, record):
        return self._asking.ask(node, "still", record.name, record.stamp, record.extents)

    def _framing(self, far):
        from wrp.cte.framing import Framing

        known = self._parts.framing
        return Framing(far, {}, known.cipher if known is not None else None)

    def lent(self, home, view):
        """Extents of a node in the neighbourhood of a home that hold the bytes, as its records name them; None where none has room.

        In a store in memory they are in ram, else in files that last, on storage: so that a flush at the home needs no room there.
        """
        parts, tiers = self._parts, self._parts.tiers
        wish = Wish(target=RAM) if parts.folder is None else Wish(persistence=LONG_TERM)
        for step in range(1, min(parts.config.get("targets.neighborhood"), self.nodes)):
            node = (home + step) % self.nodes
            failed = self.at(node, "failed_syncs") if parts.folder is not None else None
            try:
                extents = self.far[node].carry(view, wish) if node != self.node else pieces.write(tiers, view, wish=wish)
            except OutOfSpace as error:
                let_out(error)
                continue
            if parts.folder is not None:
                self._synced(node, extents, failed)
            return [(on_node(node) if extent[0] == RAM else extent[0], *extent[1:]) for extent in extents]
        return None

    def _synced(self, node, extents, failed):
        """What a node has taken in is on its storage; else it is given back, and that is raised. `failed`: see Answering.sync."""
        try:
            self.at(node, "sync", failed)
        except WrpError:
            with suppress(WrpError):
                self.at(node, "give_back", extents)
            raise

    def _read_ram(self, node, offset, out):
        """Fill `out` from the first ram of any node."""
        if node == self.node:
            self._parts.tiers.read(RAM, offset, out)
        else:
            self.far[node].read(RAM, offset, out)

    def send_away(self):
        """Tell other nodes what of their files and their ram is free now; see Away.tell."""
        self._away.tell()
