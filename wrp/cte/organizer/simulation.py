"""A store without bytes: runs a placement policy, an organizer and an eviction policy over a trace of puts and gets, and counts what came from the
fastest tier, what was moved, and how long the reads and writes would have taken.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from wrp.cte import eviction, placement
from wrp.cte.organizer.contract import Delete, Filled, Get, Moved, Put, Tick, Tier
from wrp.errors import OutOfSpace

_SHARE = 16                 # a full tier is asked for at least this fraction of it at a time, as the store does


class Access(NamedTuple):
    """One line of a trace. kind: "put", "get" or "delete"; now: seconds; score: of a blob that is put, 0 to 1."""

    kind: str
    blob: str
    nbytes: int
    now: float
    score: float = 1.0


@dataclass
class Outcome:
    """hits: gets from the fastest tier; moved: bytes that actions took from tier to tier; refused: actions that found no room;
    evicted: bytes that left the fastest tier for a put that found no room; io_us: time of the puts and gets, without the moves, which go on beside them;
    places: {blob: number of its tier} in the end.
    """

    gets: int = 0
    hits: int = 0
    read: int = 0
    hit_bytes: int = 0
    moves: int = 0
    moved: int = 0
    refused: int = 0
    evicted: int = 0
    io_us: float = 0.0
    places: dict = field(default_factory=dict)

    @property
    def hit_ratio(self):
        return self.hits / max(self.gets, 1)

    @property
    def byte_hit_ratio(self):
        return self.hit_bytes / max(self.read, 1)


def tiers_of(targets):
    """The Tiers of placement's Targets."""
    return [Tier(target.number, target.score, target.capacity) for target in targets]


def simulate(organizer, targets, trace, tick_s=1.0, place="max_bw", evict=None):
    """The Outcome of a trace (Accesses in order of time) over `targets` (placement's Target), with a tick every `tick_s` seconds of it.

    place : placement policy of new blobs, by name. A blob that is read before it was put has always lain in the slowest tier.
    evict : eviction policy, by name, for a put that finds no room in the fastest tier when the organizer has done what it wants, as in a store whose blobs files hold too;
        None: nothing leaves, as where no blob was flushed
    Raises OutOfSpace when a blob fits nowhere.
    """
    return _Run(organizer, targets, placement.make(place), evict and eviction.make(evict)).over(trace, tick_s)


class _Run:

    def __init__(self, organizer, targets, policy, evicting):
        self._organizer, self._policy, self._evicting = organizer, policy, evicting
        self._targets = sorted(targets, key=lambda target: -target.score)
        self._fastest = self._targets[0]
        self._free = {target.number: target.capacity for target in targets}
        self._speeds = {target.number: target for target in targets}
        self._places, self._blobs, self.outcome = {}, {}, Outcome()

    def over(self, trace, tick_s):
        tick = None
        for access in trace:
            tick = access.now + tick_s if tick is None else tick
            while tick <= access.now:
                self._tell(Tick(tick))
                tick += tick_s
            getattr(self, "_" + access.kind)(access)
        self.outcome.places = {name: place for name, (place, _) in self._places.items()}
        return self.outcome

    def _put(self, access):
        self._remove(access.blob)
        fastest = self._fastest
        lacks = access.nbytes - self._free[fastest.number]
        if lacks > 0 and self._wanted(access, fastest) == fastest.number:
            self._tell(Filled(fastest.number, max(lacks, fastest.capacity // _SHARE), access.now))
            lacks = access.nbytes - self._free[fastest.number]
            if lacks > 0 and self._evicting is not None:
                here = [self._blobs[name] for name, (place, _) in self._places.items() if place == fastest.number]
                self.outcome.evicted += eviction.leave(self._evicting, here, lacks, fastest.capacity, self._leave)
        self._place(access, self._wanted(access))
        speed = self._speeds[self._places[access.blob][0]]
        self.outcome.io_us += speed.latency_us + access.nbytes / max(speed.write_mbps, 1e-3)

    def _leave(self, blob):
        """Where files hold all blobs too, the first one below that has room has this one: bytes that are free of it."""
        target = next((each.number for each in self._targets[1:] if self._free[each.number] >= blob.size), None)
        if target is None:
            return 0
        self._put_on(blob.name, target)
        self._organizer.on(Moved(blob.name, target))
        return blob.size

    def _wanted(self, access, empty=None):
        """The target that the placement chooses; as if `empty` had room. None: no target has."""
        targets = [target._replace(remaining=target.capacity if target is empty else self._free[target.number])
                   for target in self._targets]
        return next(iter(self._policy.order(placement.Request(access.nbytes, access.score), targets)), None)

    def _get(self, access):
        if access.blob not in self._places:
            slowest = (target.number for target in self._targets[::-1] if self._free[target.number] >= access.nbytes)
            self._place(access, next(slowest, None))
        place, nbytes = self._places[access.blob]
        hit = place == self._fastest.number
        self.outcome.gets, self.outcome.hits = self.outcome.gets + 1, self.outcome.hits + hit
        self.outcome.read, self.outcome.hit_bytes = self.outcome.read + nbytes, self.outcome.hit_bytes + nbytes * hit
        self.outcome.io_us += self._speeds[place].latency_us + nbytes / max(self._speeds[place].read_mbps, 1e-3)
        blob = self._blobs[access.blob]
        self._blobs[access.blob] = blob._replace(read=access.now, reads=blob.reads + 1)
        self._tell(Get(access.blob, access.now))

    def _delete(self, access):
        self._remove(access.blob)
        self._tell(Delete(access.blob))

    def _place(self, access, target):
        if target is None:
            raise OutOfSpace(f"no tier of the simulation has room for blob {access.blob!r} of {access.nbytes} bytes")
        self._free[target] -= access.nbytes
        self._places[access.blob] = target, access.nbytes
        self._blobs[access.blob] = eviction.Blob(access.blob, access.nbytes, access.now, score=access.score)
        self._tell(Put(access.blob, access.nbytes, target, access.score, access.now))

    def _remove(self, name):
        if name in self._places:
            place, nbytes = self._places.pop(name)
            self._free[place] += nbytes
            del self._blobs[name]

    def _tell(self, event):
        for action in self._organizer.on(event):
            self._carry_out(action)

    def _carry_out(self, action):
        place, nbytes = self._places.get(action.blob, (None, 0))
        if place != action.source or self._free[action.target] < nbytes:        # also of a blob that is just being put again
            self.outcome.refused += 1
            return
        self._put_on(action.blob, action.target)
        self.outcome.moves, self.outcome.moved = self.outcome.moves + 1, self.outcome.moved + nbytes
        self._organizer.on(Moved(action.blob, action.target))

    def _put_on(self, name, target):
        place, nbytes = self._places[name]
        self._free[place], self._free[target] = self._free[place] + nbytes, self._free[target] - nbytes
        self._places[name] = target, nbytes
