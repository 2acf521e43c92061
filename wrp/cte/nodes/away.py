"""Away: space of other nodes that calls of this rank have freed, told to the nodes whose it is. A node that is silent is told when it answers again."""

import logging
import threading
import time
from collections import deque

from wrp.cte.nodes.wire import PORTION
from wrp.errors import WaitTimeout, WrpError

_EXTENTS = PORTION // 64        # in one letter
_AGAIN_S = 1.0                  # after which a node that was silent is tried again
_log = logging.getLogger("wrp.cte")


class Away:
    """freed : deque of extents, with the numbers that records of this node have for them; `owner(target)` is the node of one, `named(target)` its own number for it

    asking : Asking; ident : of this rank, no other of the job has it
    """

    def __init__(self, freed, owner, named, asking, ident):
        self._freed, self._owner, self._named = freed, owner, named
        self._asking, self._ident = asking, ident
        self._boxes = {}

    def tell(self):
        """Other nodes have their space back, but for those that are silent: they get it after a later call. Local; raises nothing, since what freed it is done."""
        while self._freed:
            try:
                target, *place = self._freed.popleft()
            except IndexError:              # another thread tells it
                break
            node = self._owner(target)
            box = self._boxes.get(node) or self._boxes.setdefault(node, _Box(self._asking, node, self._ident))
            box.waiting.append((self._named(target), *place))
        for box in list(self._boxes.values()):
            box.send()


class _Box:
    """What one node is to be told, in letters that count up: one that is sent again is carried out once; see `Receipts`."""

    def __init__(self, asking, node, ident):
        self._asking, self._node, self._ident = asking, node, ident
        self.waiting = deque()
        self._letter, self._number = [], 0      # the one that isn't confirmed
        self._silent_since = None
        self._turn = threading.Lock()

    def send(self):
        if not self.waiting and not self._letter:
            return
        with self._turn:
            while (self.waiting or self._letter) and self._may_answer():
                if not self._letter:
                    self._letter = [self.waiting.popleft() for _ in range(min(_EXTENTS, len(self.waiting)))]
                    self._number += 1
                try:
                    question = self._asking.begin(self._node, "take_back", self._ident, self._number, self._letter)
                except WrpError as error:       # it hasn't left: there is no room for it now
                    self._wait(error)
                    return
                try:
                    question.answer()
                except WaitTimeout as error:
                    self._wait(error)
                    return
                except WrpError as error:
                    _log.error("node %d can't take %d places of its targets back: %s", self._node, len(self._letter), error)
                self._letter = []

    def _wait(self, error):
        """The letter goes once more after a while."""
        self._silent_since = time.monotonic()
        _log.warning("node %d isn't told that %d places of its targets are free before it answers again: %s", self._node, len(self._letter), error)

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
