"""Placing: asks the policy of a store which targets are to take bytes, best first. It has no devices and writes nothing."""

import time
from copy import copy, deepcopy
from typing import NamedTuple

from wrp.cte import placement
from wrp.cte.placement import Request, automatic_score
from wrp.cte.placement.contract import LONG_TERM, VOLATILE, Target
from wrp.cte.targetnumbers import RAM

_SAME_EVERY_TIME = ("max_bw", "cost")       # their orders don't depend on how often they were asked


class Wish(NamedTuple):
    """Where bytes are wanted: by the score of their blob, on targets of at least this persistence, or on one target only, or of `exact` persistence only."""

    score: float = 1.0
    persistence: int = VOLATILE
    target: int = None
    exact: int = -1

    @property
    def wants_any(self):
        """True when only the score says where."""
        return self.target is None and self.persistence == VOLATILE and self.exact < 0


class Placing:
    """The placing of one rank. `targets`: [(number, Wanted)]; `room(number)`: bytes that this process could have there.

    keep_s : seconds for which an answer of `ram_first` that depends on free space stays good
    """

    def __init__(self, name, seed, targets, room, keep_s):
        self._policy, self._room, self._keep_s = placement.make(name, seed), room, keep_s
        self.targets = [Target(number, wanted.name, wanted.kind, _score(wanted), wanted.capacity, 0, wanted.write_mbps, wanted.read_mbps,
                               wanted.latency_us, wanted.persistence) for number, wanted in targets]
        self._is_steady = self._policy.name in _SAME_EVERY_TIME
        self._weighs_room = self._policy.name == "cost"
        self._is_ram_alone = [target.number for target in self.targets] == [RAM]
        beside = [target.number for target in self.targets if target.number != RAM]
        self.beyond_ram = [*beside, RAM] if len(beside) == 1 else None      # the order of what may lie anywhere when the ram is full, where no policy has a choice
        self._firsts, self._until = {}, 0.0

    def order(self, nbytes, wish, durable):
        """Numbers of the targets that may take the bytes, best first; those that seem to be full last."""
        least = LONG_TERM if durable else wish.persistence
        fitting = [target for target in self.targets if target.persistence >= least and wish.target in (None, target.number)
                   and wish.exact in (-1, target.persistence)]
        found = self._policy.order(Request(nbytes, wish.score, least, wish.exact), self._now(fitting, nbytes))
        return found + [target.number for target in fitting if target.number not in found]

    def twin(self, taken):
        """One that decides as this would, of which this remembers nothing; `taken`: {number: bytes} that count as gone."""
        twin = copy(self)
        twin._policy, twin._room = deepcopy(self._policy), lambda number: self._room(number) - taken.get(number, 0)
        return twin

    def _now(self, targets, nbytes):
        return [target._replace(remaining=self._left(target, nbytes)) for target in targets]

    def _left(self, target, nbytes):
        left = self._room(target.number)
        # blobs that files hold too leave the ram for new ones
        return max(left, nbytes) if target.number == RAM and nbytes <= target.capacity else left

    def ram_first(self, nbytes, score, exact=False):
        """True when the first ram is where bytes of such a blob go, as long as it has room. Cheap; False when that isn't known beforehand.

        exact : no answer that was right only a moment ago
        """
        if self._is_ram_alone:
            return True
        if not self._is_steady or exact and self._weighs_room:
            return False
        if self._weighs_room and time.monotonic() > self._until:
            self._firsts.clear()
            self._until = time.monotonic() + self._keep_s
        key = nbytes.bit_length(), score
        first = self._firsts.get(key)
        if first is None:
            if len(self._firsts) > 4096:
                self._firsts.clear()
            first = self._firsts[key] = self.order(nbytes, Wish(score), False)[:1] == [RAM]
        return first


def _score(wanted):
    return wanted.score if wanted.score >= 0 else automatic_score(wanted.write_mbps)
