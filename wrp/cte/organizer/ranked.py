"""What organizers share that rank blobs: the hottest belong up, the coldest make room. A kind of them says only how hot a blob is, and
which of those that were used may rise.
"""

import heapq
from collections import deque
from itertools import takewhile

from wrp.cte.organizer.book import FILL, Book, Plan
from wrp.cte.organizer.contract import DEMOTE, Emptied, Filled, Tick

_BACK = 256                 # blobs that are looked at when a tier has room again


class Ranked:
    """`heat(name, blob)` and `may_rise(name, blob)` are the kind's own; heat may be anything that compares."""

    def __init__(self, tiers):
        self.book = Book(tiers)
        self.now = 0.0

    def on(self, event):
        """See `contract`."""
        self.now = max(self.now, getattr(event, "now", 0.0))
        self.book.note(event)
        kind = type(event)
        plan = None
        if kind is Tick:
            plan = self.tick()
        elif kind is Filled and event.target in self.book.taken:
            plan = self._evicting(event)
        elif kind is Emptied and event.target in self.book.taken:
            plan = self._filling(event)
        return tuple(plan.actions) if plan is not None else ()

    def tick(self):
        """The plan of a look at all blobs: those used since the last one rise as far as room is or can be made."""
        wanted = [name for name in self.book.rest() if self.may_rise(name, self.book.blobs[name])]
        return self.rising(wanted)

    def rising(self, names):
        """A plan in which `names` rise, the hottest first, and displace only blobs that are colder."""
        plan, queues = Plan(self.book), {}
        for name in sorted(names, key=lambda name: (self._heat(name), name), reverse=True):
            for tier in self.book.faster(self.book.blobs[name].target):
                if self._fits(plan, tier, name, queues):
                    plan.move(name, tier.number, self.score(name))
                    break
        return plan

    def coldest(self, number):
        """Names of a tier's blobs, the coldest first."""
        ordered = sorted(self.book.within[number].items(), key=lambda pair: (self.heat(*pair), pair[0]))
        return [name for name, _ in ordered]

    def displaces(self, name, other):
        """True when `name` may take the place of `other`."""
        return self._heat(other) < self._heat(name)

    def score(self, name):
        """The score that a blob gets when it moves; None: it keeps its own."""

    def _fits(self, plan, tier, name, queues):
        """True when the tier has room for the blob, or colder ones were planned out of it."""
        nbytes = self.book.blobs[name].nbytes
        if plan.room(tier.number) >= nbytes:
            return True
        if nbytes > tier.capacity * FILL:
            return False
        if tier.number not in queues:
            queues[tier.number] = _Queue(self.coldest(tier.number))
        victims = takewhile(lambda other: self.displaces(name, other), queues[tier.number].waiting(plan, tier.number))
        # nobody is moved out for a blob that doesn't come in after all
        return plan.make_room(tier.number, nbytes, victims, DEMOTE, whole=True)

    def _evicting(self, event):
        plan = Plan(self.book)
        # what the tier lacks is asked for itself, not for the part that moves may fill
        plan.make_room(event.target, plan.room(event.target) + event.nbytes, self.coldest(event.target))
        return plan

    def _filling(self, event):
        below = {tier.number for tier in self.book.slower(event.target)}
        candidates = ((name, blob) for name, blob in self.book.blobs.items() if blob.target in below and self.may_rise(name, blob))
        hottest = heapq.nlargest(_BACK, candidates, key=lambda pair: (self._heat(pair[0]), pair[0]))
        plan, left = Plan(self.book), event.nbytes
        for name, blob in hottest:
            if blob.nbytes <= min(left, plan.room(event.target)):
                plan.move(name, event.target, self.score(name))
                left -= blob.nbytes
        return plan

    def _heat(self, name):
        return self.heat(name, self.book.blobs[name])


class _Queue:
    """The coldest blobs of a tier for several blobs that want to rise, so that each begins where the last one ended."""

    def __init__(self, names):
        self._source, self._seen = iter(names), deque()

    def waiting(self, plan, number):
        """Those that are still in the tier, the coldest first."""
        while self._seen and plan.place(self._seen[0]) != number:
            self._seen.popleft()
        yield from list(self._seen)
        for name in self._source:
            self._seen.append(name)
            yield name
