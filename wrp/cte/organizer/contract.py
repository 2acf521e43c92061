"""The contract of organizers: an event in, actions out.

An organizer is an object made for a list of tiers, with one method ``on(event) -> tuple of Action``. It is a pure state machine: its
only clock is the `now` of the events, so a log of events is a test. Actions are wishes: whoever carries one out says so with `Moved`; of
an action without that answer the organizer knows that the blob is still where it was. A blob that it hasn't heard of is ignored.

No action loses a copy: all of them put a blob somewhere before it leaves where it is, and out of the last tier nothing is evicted.
"""

from typing import NamedTuple

PROMOTE = "promote"         # to a faster tier, because it is used
DEMOTE = "demote"           # to a slower tier, because a blob that is used more needs the place
EVICT = "evict"             # to a slower tier, because the tier is full
MOVE = "move"               # to another tier of the same score


class Tier(NamedTuple):
    """A target as an organizer sees it: the higher its score the faster; `capacity` in bytes."""

    number: int
    score: float
    capacity: int


class Put(NamedTuple):
    """A blob of `nbytes` was put, or put again; its bytes are in tier `target`. `now`: seconds."""

    blob: str
    nbytes: int
    target: int
    score: float
    now: float


class Get(NamedTuple):
    """A blob was read, `times` times, the last time at `now`."""

    blob: str
    now: float
    times: int = 1


class Delete(NamedTuple):
    """A blob is gone."""

    blob: str


class Moved(NamedTuple):
    """A blob is in tier `target` now."""

    blob: str
    target: int


class Tick(NamedTuple):
    """Time to look at all blobs."""

    now: float


class Filled(NamedTuple):
    """The tier lacks `nbytes`."""

    target: int
    nbytes: int
    now: float


class Emptied(NamedTuple):
    """The tier has `nbytes` free that it hadn't."""

    target: int
    nbytes: int
    now: float


EVENTS = {kind.__name__.lower(): kind for kind in (Put, Get, Delete, Moved, Tick, Filled, Emptied)}


class Action(NamedTuple):
    """Take a blob from tier `source` to tier `target`, and give it this score (0 to 1); None: it keeps its own."""

    kind: str
    blob: str
    source: int
    target: int
    score: float = None
