"""A store without bytes: runs an organizer over a trace of puts and gets and counts what came from the fastest tier and what was moved."""

from dataclasses import dataclass
from typing import NamedTuple

from wrp.cte.organizer.contract import Delete, Filled, Get, Moved, Put, Tick
from wrp.errors import OutOfSpace

_SHARE = 16                 # a full tier is asked for at least this fraction of it at a time, as the store does


class Access(NamedTuple):
    """One line of a trace. kind: "put", "get" or "delete"; now: seconds."""

    kind: str
    blob: str
    nbytes: int
    now: float


@dataclass
class Outcome:
    """hits: gets from the fastest tier; moved: bytes that actions took from tier to tier; refused: actions that found no room."""

    gets: int = 0
    hits: int = 0
    read: int = 0
    hit_bytes: int = 0
    moves: int = 0
    moved: int = 0
    refused: int = 0

    @property
    def hit_ratio(self):
        return self.hits / max(self.gets, 1)

    @property
    def byte_hit_ratio(self):
        return self.hit_bytes / max(self.read, 1)


def simulate(organizer, tiers, trace, tick_s=1.0):
    """The Outcome of a trace (Accesses in order of time) with a tick every `tick_s` seconds of it.

    New blobs go to the fastest tier that has room; one that is read before it was put has always lain in the slowest. Raises
    OutOfSpace when a blob fits nowhere.
    """
    return _Run(organizer, tiers).over(trace, tick_s)


class _Run:

    def __init__(self, organizer, tiers):
        self._organizer = organizer
        self._tiers = sorted(tiers, key=lambda tier: -tier.score)
        self._free = {tier.number: tier.capacity for tier in tiers}
        self._places, self._now, self.outcome = {}, 0.0, Outcome()

    def over(self, trace, tick_s):
        tick = None
        for access in trace:
            self._now = access.now
            tick = access.now + tick_s if tick is None else tick
            while tick <= access.now:
                self._tell(Tick(tick))
                tick += tick_s
            getattr(self, "_" + access.kind)(access)
        return self.outcome

    def _put(self, access):
        self._remove(access.blob)
        fastest = self._tiers[0]
        lacks = access.nbytes - self._free[fastest.number]
        if 0 < lacks and access.nbytes <= fastest.capacity:
            self._tell(Filled(fastest.number, max(lacks, fastest.capacity // _SHARE), access.now))
        self._place(access, self._tiers)

    def _get(self, access):
        if access.blob not in self._places:
            self._place(access, self._tiers[::-1])
        place, nbytes = self._places[access.blob]
        hit = place == self._tiers[0].number
        self.outcome.gets, self.outcome.hits = self.outcome.gets + 1, self.outcome.hits + hit
        self.outcome.read, self.outcome.hit_bytes = self.outcome.read + nbytes, self.outcome.hit_bytes + nbytes * hit
        self._tell(Get(access.blob, access.now))

    def _delete(self, access):
        self._remove(access.blob)
        self._tell(Delete(access.blob))

    def _place(self, access, tiers):
        target = next((tier.number for tier in tiers if self._free[tier.number] >= access.nbytes), None)
        if target is None:
            raise OutOfSpace(f"no tier of the simulation has room for blob {access.blob!r} of {access.nbytes} bytes")
        self._free[target] -= access.nbytes
        self._places[access.blob] = target, access.nbytes
        self._tell(Put(access.blob, access.nbytes, target, 1.0, access.now))

    def _remove(self, name):
        if name in self._places:
            place, nbytes = self._places.pop(name)
            self._free[place] += nbytes

    def _tell(self, event):
        for action in self._organizer.on(event):
            self._carry_out(action)

    def _carry_out(self, action):
        place, nbytes = self._places[action.blob]
        if place != action.source or self._free[action.target] < nbytes:
            self.outcome.refused += 1
            return
        self._free[place], self._free[action.target] = self._free[place] + nbytes, self._free[action.target] - nbytes
        self._places[action.blob] = action.target, nbytes
        self.outcome.moves, self.outcome.moved = self.outcome.moves + 1, self.outcome.moved + nbytes
        self._organizer.on(Moved(action.blob, action.target))
