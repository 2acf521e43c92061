"""Away: space of other nodes that calls of this rank have freed, or leased and not used, told to the nodes whose it is. A node that is silent is told when it answers again.

An error of a signal's handler may come behind any call in here. So what is to be told stays in its list until it is in the next one, or was told, and no call lies between.
"""

import logging
import time
from itertools import count

from wrp.comm.turn import Turn
from wrp.cte.nodes.wire import PORTION
from wrp.errors import WaitTimeout, WrpError

_WORDS = PORTION // 64          # in one letter: extents, or tickets of loans
_AGAIN_S = 1.0                  # after which a node that was silent is tried again
_TICKETS = 40                   # bits of a rank's own number in a ticket
_log = logging.getLogger("wrp.cte")


class Away:
    """freed : deque of extents, with the numbers that records of this node have for them; `owner(target)` is the node of one, `named(target)` its own number for it

    asking : Asking; ident : of this rank, no other of the job has it
    """

    def __init__(self, freed, owner, named, asking, ident):
        self._freed, self._owner, self._named = freed, owner, named
        self._asking, self._ident = asking, ident
        self._boxes, self._sorting, self._numbers = {}, Turn(), count(1)

    def ticket(self):
        """For space that another node is to lease: see loans.py."""
        return self._ident << _TICKETS | next(self._numbers)

    def close(self, node, ticket, is_kept):
        """No call of that node takes what was leased there for a ticket: it goes back, now or with a later `tell`, or is this rank's where `is_kept`."""
        self._box(node).waiting.append((ticket, is_kept))

    def waiting(self, node):
        """What that node is to be told, a list: (ticket, is_kept) of `close`, extents by its own numbers that are free."""
        return self._box(node).waiting

    def tell(self):
        """Other nodes have their space back, but for those that are silent: they get it after a later call. Local; raises nothing, since what freed it is done."""
        if self._freed and not self._sorting._is_owned():
            with self._sorting:
                self._sort()
        for box in list(self._boxes.values()):
            box.send()

    def _sort(self):
        while self._freed:
            target, *place = self._freed[0]
            waiting, freed = self._box(self._owner(target)).waiting, [(self._named(target), *place)]
            waiting += freed
            del self._freed[0]

    def _box(self, node):
        return self._boxes.get(node) or self._boxes.setdefault(node, _Box(self._asking, node, self._ident))


class _Box:
    """What one node is to be told, in letters that count up: one that is sent again is carried out once; see `Receipts`."""

    def __init__(self, asking, node, ident):
        self._asking, self._node, self._ident = asking, node, ident
        self.waiting = []
        self._count = self._number = 0          # how many of the first of them are the letter that isn't confirmed; its number
        self._silent_since = None
        self._turn = Turn()

    def send(self):
        if not self.waiting or self._turn._is_owned():
            return
        with self._turn:
            while self.waiting and self._may_answer():
                if not self._count:
                    most, number = min(_WORDS, len(self.waiting)), self._number + 1
                    self._count, self._number = most, number
                letter = self.waiting[:self._count]
                try:
                    question = self._asking.begin(self._node, "take_back", self._ident, self._number, letter)
                except WrpError as error:       # it hasn't left: there is no room for it now
                    self._wait(error)
                    return
                try:
                    question.answer()
                except WaitTimeout as error:
                    self._wait(error)
                    return
                except WrpError as error:
                    _log.error("node %d can't take %d places of its targets back: %s", self._node, self._count, error)
                del self.waiting[:self._count]
                self._count = 0

    def _wait(self, error):
        """The letter goes once more after a while."""
        self._silent_since = time.monotonic()
        _log.warning("node %d isn't told that %d places of its targets are free before it answers again: %s", self._node, self._count, error)

    def _may_answer(self):
        """False for a node that was silent, and still is or was so a moment ago."""
        if self._silent_since is None:
            return True
        if time.monotonic() < self._silent_since + _AGAIN_S:
            return False
        self._silent_since = None if self._asking.is_there(self._node) else time.monotonic()
        return self._silent_since is None


class Receipts:
    """The letters that a node has carried out: by sender the number of the last."""

    def __init__(self):
        self._last = {}

    def is_new(self, sender, number):
        """True the first time that a letter comes; senders' letters come in their order, if more than once."""
        is_new = number > self._last.get(sender, 0)
        if is_new:
            self._last[sender] = number
        return is_new
