"""`hotset`: the blobs used most in the last ticks are kept together in the fastest tier."""

from wrp.cte.organizer.book import FILL
from wrp.cte.organizer.ranked import Ranked

_KEPT = 0.8                 # of a use at every tick
_CLEARLY = 2.0              # a blob that displaces another was used this many times as often: moves that hardly pay cost more
_LEAST = 1.0                # uses, as remembered: what was read once long ago belongs to no hot set


class Hotset(Ranked):
    """Counts uses with a memory that fades from tick to tick, so that a set that moves on is followed within some ticks."""

    name = "hotset"

    def __init__(self, tiers):
        super().__init__(tiers)
        self._ticks = 0
        self._counts = {}               # name -> (uses as remembered, tick of that)
        self._seen = {}                 # name -> uses that are in the count

    def heat(self, name, blob):
        """Uses as remembered; among equal ones the last used is the hottest."""
        uses, tick = self._counts.get(name, (0.0, self._ticks))
        fresh = blob.count - self._seen.get(name, 0)
        return (uses * _KEPT ** (self._ticks - tick) + max(0, fresh), blob.used)

    def may_rise(self, name, blob):
        """What was used more than once lately."""
        return self.book.level(blob.target) > 0 and self.heat(name, blob)[0] > _LEAST

    def displaces(self, name, other):
        """Only what is used clearly less goes."""
        return self._heat(name)[0] > _CLEARLY * self._heat(other)[0]

    def tick(self):
        """See `Ranked`: with what fits into the fastest tier as the set."""
        blobs = self.book.blobs
        used = self.book.rest()
        plan = self.rising(self._set_of([name for name in used if self.may_rise(name, blobs[name])]))
        for name in used:
            self._counts[name] = (self.heat(name, blobs[name])[0] * _KEPT, self._ticks + 1)
            self._seen[name] = blobs[name].count
        self._ticks += 1
        if len(self._counts) > 2 * len(blobs) + 64:
            self._counts = {name: count for name, count in self._counts.items() if name in blobs}
            self._seen = {name: count for name, count in self._seen.items() if name in blobs}
        return plan

    def _set_of(self, names):
        """The hottest of `names` that fit into the fastest tier together."""
        budget, chosen = int(self.book.tiers[0].capacity * FILL), []
        for name in sorted(names, key=lambda name: (self._heat(name), name), reverse=True):
            if self.book.blobs[name].nbytes <= budget:
                budget -= self.book.blobs[name].nbytes
                chosen.append(name)
        return chosen
