"""What an organizer knows of its blobs and tiers from the events it has seen, and plans of moves that fit into the tiers."""

from collections import OrderedDict

from wrp.cte.organizer.contract import DEMOTE, EVICT, MOVE, PROMOTE, Action, Delete, Get, Moved, Put

FILL = 0.95                 # moves fill a tier up to this part; the rest is for new blobs


class Known:
    """A blob: where it is, its last use (seconds), and how often it was used."""

    __slots__ = ("nbytes", "target", "score", "used", "count")

    def __init__(self, nbytes, target, score, used):
        self.nbytes, self.target, self.score, self.used = nbytes, target, score, used
        self.count = 1


class Book:
    """The blobs by name, and the tiers from the fastest to the slowest.

    within : {tier's number: OrderedDict of its blobs}, the one used or moved there longest ago first
    """

    def __init__(self, tiers):
        self.tiers = sorted(tiers, key=lambda tier: (-tier.score, tier.number))
        self._levels = {tier.number: level for level, tier in enumerate(self.tiers)}
        self.blobs = {}
        self.within = {tier.number: OrderedDict() for tier in tiers}
        self.taken = {tier.number: 0 for tier in tiers}
        self.touched = set()            # put or read since the last `rest`

    def note(self, event):
        """Learn from an event."""
        kind = type(event)
        if kind is Get:
            self._use(event)
        elif kind is Put:
            self._put(event)
        elif kind is Delete:
            self._drop(event.blob)
        elif kind is Moved and event.blob in self.blobs:
            self._move(event.blob, event.target)

    def rest(self):
        """The names touched since the last call, in order."""
        touched, self.touched = self.touched, set()
        return sorted(name for name in touched if name in self.blobs)

    def level(self, number):
        """0 for the fastest tier."""
        return self._levels[number]

    def faster(self, number):
        """Tiers above this one, the fastest first."""
        return self.tiers[:self._levels[number]]

    def slower(self, number):
        """Tiers below this one, the fastest first."""
        return self.tiers[self._levels[number] + 1:]

    def _use(self, event):
        blob = self.blobs.get(event.blob)
        if blob is not None:
            blob.used, blob.count = max(blob.used, event.now), blob.count + event.times
            self.within[blob.target].move_to_end(event.blob)
            self.touched.add(event.blob)

    def _put(self, event):
        old = self.blobs.get(event.blob)
        self._drop(event.blob)
        if event.target not in self._levels:
            return                      # a tier that nobody organizes
        blob = Known(event.nbytes, event.target, event.score, event.now)
        blob.count += old.count if old else 0
        self._add(event.blob, blob)
        self.touched.add(event.blob)

    def _move(self, name, target):
        blob = self.blobs[name]
        self._drop(name)
        if target in self._levels:
            blob.target = target
            self._add(name, blob)

    def _add(self, name, blob):
        self.blobs[name] = self.within[blob.target][name] = blob
        self.taken[blob.target] += blob.nbytes

    def _drop(self, name):
        blob = self.blobs.pop(name, None)
        if blob is not None:
            del self.within[blob.target][name]
            self.taken[blob.target] -= blob.nbytes


class Plan:
    """Moves that are wished for by one event, with the room that each leaves."""

    def __init__(self, book):
        self._book = book
        self._room = {tier.number: int(tier.capacity * FILL) - book.taken[tier.number] for tier in book.tiers}
        self._places = {}
        self.actions = []

    def room(self, number):
        return self._room[number]

    def place(self, name):
        """The tier where the blob will be."""
        return self._places.get(name, self._book.blobs[name].target)

    def move(self, name, target, score=None, kind=None):
        """Wish for a move; the kind follows from the tiers where none is given."""
        source = self.place(name)
        nbytes = self._book.blobs[name].nbytes
        self._room[source] += nbytes
        self._room[target] -= nbytes
        self._places[name] = target
        self.actions.append(Action(kind or self._kind(source, target), name, source, target, score))

    def make_room(self, number, nbytes, victims, kind=EVICT, whole=False):
        """Move `victims` (names, the first to go first) out of a tier until it has room for `nbytes`; True when it has.

        Each goes to the fastest slower tier that has room for it. whole : all of the room, or nothing moves
        """
        room, chosen = dict(self._room), []
        below = [tier.number for tier in self._book.slower(number)]
        for name in victims:
            if room[number] >= nbytes:
                break
            size = self._book.blobs[name].nbytes
            target = next((each for each in below if room[each] >= size), None)
            if target is not None and self.place(name) == number:
                room[number], room[target] = room[number] + size, room[target] - size
                chosen.append((name, target))
        if whole and room[number] < nbytes:
            return False
        for name, target in chosen:
            self.move(name, target, kind=kind)
        return self._room[number] >= nbytes

    def _kind(self, source, target):
        tiers, book = self._book.tiers, self._book
        low, high = book.level(source), book.level(target)
        if tiers[low].score == tiers[high].score:
            return MOVE
        return PROMOTE if high < low else DEMOTE
