"""Keepers: the nodes that keep copies of a home's blobs, as one rank sees them. After a change it brings them up to date; when a home fails, they have the bytes.

The keepers of a home are the nodes after it, in their order. Whoever changes a blob asks its home what there is now, has the keepers keep that, and asks
again, until nothing has changed meanwhile: so a copy that comes late never stays in place of a newer one, or of none. With targets.replicate_period_ms that is done
later, by the sweeps of whoever has changed the blob (sweeping.py).
"""

import warnings
from contextlib import nullcontext

from wrp.comm.refusals import let_out
from wrp.cte import pieces
from wrp.cte.nodes.sweeping import Sweeping
from wrp.cte.nodes.wire import INLINE, record_of
from wrp.cte.records import RAM
from wrp.cte.targets import Wish
from wrp.errors import Corrupt, FewerReplicas, OutOfSpace, WaitTimeout

_NAMES = 4096                   # in one question
_TRIES = 1000


class Keepers:
    """replicas : nodes that have a blob, its home among them. Any thread; calls are local."""

    def __init__(self, net, parts, replicas):
        self._net, self._parts, self._replicas = net, parts, replicas
        self.lacking = 0                # changes by this rank after which a blob had fewer copies than are wanted
        period_s = parts.config.get("targets.replicate_period_ms") / 1000
        self.sweeping = Sweeping(self.renewed, period_s, parts.config.get("runtime.timeout_s")) if period_s else None

    def of(self, home):
        """The nodes that keep what is at home on a node."""
        return [(home + step) % self._net.nodes for step in range(1, self._replicas)]

    @property
    def owed(self):
        """Blobs that this rank has changed and that aren't with their keepers yet."""
        return len(self.sweeping) if self.sweeping is not None else 0

    # after a change

    def changed(self, home, names):
        """This rank has changed the blobs of these full names: `renew` them, now or with the next sweep."""
        if self.sweeping is None:
            self.renew(home, names)
        else:
            self.sweeping.owe(home, names)

    def renew(self, home, names):
        """The keepers have the blobs of these full names as their home does, or newer ones, when it returns.

        Where a keeper has no room it keeps nothing of that blob: FewerReplicas is warned of, and `lacking` counts. Raises WaitTimeout for a silent
        node: it may keep what was before.
        """
        self._warn(self.renewed(home, names))

    def bring(self, wanted):
        """The same of what is owed of the full names for which `wanted` is true."""
        if self.sweeping is not None:
            self._warn(self.sweeping.sweep(wanted))

    def _warn(self, refused):
        if refused:
            name, why = next(iter(refused.items()))
            tag, _, blob = name.partition("\0")
            more = f" and {len(refused) - 1} others" if len(refused) > 1 else ""
            warnings.warn(f"blob {blob!r} of tag {tag!r}{more} is stored, but on fewer nodes than the {self._replicas} of targets.replicas: {why}", FewerReplicas, 6)

    def renewed(self, home, names):
        """As `renew`, without a warning: {name: why a keeper has no room for it}."""
        refused = {}
        for start in range(0, len(names), _NAMES):
            refused.update(self._renew(home, names[start:start + _NAMES]))
        self.lacking += len(refused)
        return refused

    def _renew(self, home, names):
        """{name: why a keeper has no room for it}."""
        known, refused = dict.fromkeys(names, -1), {}
        for _ in range(_TRIES):
            states = self._net.at(home, "states", names, list(known.values()))
            states = [state for state in states if state is not None]
            if not states:
                return refused
            lacking = self._keep(home, states)
            for plain, data in states:
                name = data[0] if plain is None else plain[0]
                known[name] = 0 if plain is None else plain[2]
                refused.pop(name, None)
            refused.update(lacking)
        raise WaitTimeout(f"blobs such as {names[0].partition(chr(0))[2]!r} changed {_TRIES} times while copies of them were made; their writers don't pause")

    def _keep(self, home, states):
        """Have the keepers keep these; {name: why not}."""
        keepers = self.of(home)
        under_way = [self._net.begin(keeper, "keep", states) for keeper in keepers if keeper != self._net.node]
        own = {self._net.node: self._net.at(self._net.node, "keep", states)} if self._net.node in keepers else {}
        answers = {**own, **dict(zip([keeper for keeper in keepers if keeper not in own], self._net.answers(under_way)))}
        refused = {name: why for _, lacking in answers.values() for name, why in lacking}
        for number in sorted(set().union(*(wanted for wanted, _ in answers.values()))):
            record = record_of(states[number][0])
            data = self._fetched(home, record)
            for keeper in keepers if data is not None else ():
                if number in answers[keeper][0]:
                    refused.update(self._hand_over(keeper, record, data))
        return refused

    def _hand_over(self, keeper, record, data):
        """Have a node keep these bytes; [(name, why it has no room for them)] or []."""
        try:
            with self._sent(keeper, data, Wish(target=RAM)) as sent:
                return self._net.at(keeper, "keep", [(record, sent)])[1]
        except OutOfSpace as error:
            let_out(error)
            self._net.at(keeper, "keep", [(None, [record.name, record.stamp])])
            return [(record.name, str(error))]

    def _fetched(self, home, record):
        """The bytes of a record as they are stored; None when it was replaced meanwhile. Corrupt when they have changed."""
        data = bytearray(record.size)
        try:
            pieces.read(self._reader(home), record, 0, data)
        except Corrupt as error:
            let_out(error)
            if self._net.at(home, "still", record.name, record.stamp, record.extents):
                raise
            return None
        return data

    def _sent(self, node, data, wish):
        """Bytes as an argument of a call, for `with`: themselves, or extents of the node that hold them."""
        if len(data) <= INLINE or node == self._net.node:
            return nullcontext(bytes(data))
        return self._net.far[node].carried(memoryview(data), wish)

    def _reader(self, node):
        return self._net.far[node] if node != self._net.node else self._parts.tiers

    # when a home fails

    def read(self, home, name, stamp=None):
        """(Record, all bytes as they are stored) of the copy of a blob; None when no keeper has a whole one. `stamp`: of this generation only."""
        for keeper in self.of(home):
            try:
                found = self._read(keeper, name, stamp)
            except WaitTimeout as error:
                let_out(error)
                continue
            if found is not None:
                return found
        return None

    def _read(self, keeper, name, stamp):
        for _ in range(_TRIES):
            found = self._net.at(keeper, "copy", name)
            if found is None or stamp not in (None, found[0][2]):
                return None
            record, data = record_of(found[0]), found[1]
            if data is None:
                data = bytearray(record.size)
                try:
                    pieces.read(self._reader(keeper), record, 0, data)
                except Corrupt as error:
                    let_out(error)
                    again = self._net.at(keeper, "copy", name)
                    if again is not None and record_of(again[0]).extents == record.extents:
                        return None
                    continue
            return record, data
        return None

    def mend(self, home, record, data):
        """Give the home back the bytes of a copy, in place of its own; where it has no room for them nothing happens."""
        try:
            with self._sent(home, data, Wish(record.score)) as sent:
                self._net.at(home, "mend", record.name, record.stamp, sent)
        except OutOfSpace as error:
            let_out(error)
            pass

    def mend_all(self, records):
        """Give this node, their home, back what is damaged of the blobs of these Records; True when there was something."""
        some = False
        for record in records:
            try:
                pieces.read(self._parts.tiers, record, 0, bytearray(record.size))
            except Corrupt as error:
                let_out(error)
                found = self.read(self._net.node, record.name, record.stamp)
                if found is not None:
                    self.mend(self._net.node, *found)
                    some = True
        return some
