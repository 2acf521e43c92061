"""The driver of an organizer: tells it what happened in the node's catalog since the last look, and carries out what it wants.

It runs in a thread of the first rank of each node, or when it is called. Which blobs move is decided in wrp/cte/organizer, how one moves in
moving.py. To the organizer the node has two tiers: its ram, number 0, and its files, number 1.
"""

import threading
import time
from dataclasses import dataclass

from wrp.cte import organizer
from wrp.cte.background import Background
from wrp.cte.moving import in_ram
from wrp.cte.organizer import Delete, Emptied, Filled, Get, Moved, Put, Tick, Tier
from wrp.cte.records import BLOB
from wrp.errors import WrpError

_RAM, _FILES = 0, 1
_FULL, _EMPTY = 0.95, 0.5       # parts of the ram: above, blobs are taken out; below, after that, some come back
_NS = 1e-9


@dataclass
class Organized:
    """What an organizer has done on this node: looks, moves, moves that didn't come about, and the last error."""

    looks: int = 0
    moved: int = 0
    moved_nbytes: int = 0
    refused: int = 0
    last_error: str = ""


class Organizing:
    """One organizer over one node's catalog. `look` may be called by any thread of the rank, one at a time; `start` does so by itself.

    most : moves per look
    """

    is_mine = True              # this rank looks; see Nobody

    @staticmethod
    def of(parts, moves):
        """The one of a store as it is configured, started; or one that does nothing, where nothing can move or another rank looks."""
        get, tiers = parts.config.get, parts.tiers
        name = get("performance.organizer")
        if name == "none" or parts.ranks.local_rank or not parts.write or tiers.ram is None or not tiers.has_files:
            return Nobody()
        settings = {key: get(f"performance.{key}") for key in ("score_threshold", "score_difference_threshold")}
        made = Organizing(parts.catalog, tiers, moves, name, get("performance.max_concurrent_operations"),
                          **settings if name == "frecency" else {})
        made.start(get("performance.organizer_period_ms") / 1000)
        return made

    def __init__(self, catalog, tiers, moves, name, most=64, **settings):
        self._catalog, self._tiers, self._moves = catalog, tiers, moves
        self._organizer = organizer.make(name, [Tier(_RAM, 1.0, tiers.ram.capacity), Tier(_FILES, 0.0, 1 << 62)], **settings)
        self._most = most
        self._known, self._was_full = {}, False
        self._turn, self._thread = threading.Lock(), Background("wrp organizer")
        self.organized = Organized()

    def start(self, period_s):
        """Look every `period_s` seconds until `stop`."""
        self._thread.start(self._run, period_s)

    def stop(self):
        """End the thread, after the move that it is at. Idempotent."""
        self._thread.stop()

    def _run(self, period_s):
        while self._thread.naps(period_s):
            try:
                self.look()
            except (WrpError, OSError) as error:
                # organizing is a favour: what a put or a flush can't do, they say themselves
                self.organized.last_error = str(error)

    def look(self):
        """Tell the organizer what is new, and do what it wants. Raises what a move or a look at the catalog raises."""
        with self._turn:
            now = time.time()
            events = self._news(now)
            events += [Tick(now), *self._levels(now)]
            left = self._most
            for event in events:
                for action in self._organizer.on(event):
                    if left and not self._thread.is_stopped:
                        left -= 1
                        self._carry_out(action)
            self.organized.looks += 1

    def _news(self, now):
        """Events of what the catalog shows since the last look: what is gone or moved, then puts and gets by their time."""
        events, before, self._known = [], self._known, {}
        for record in self._catalog.scan(kind=BLOB):
            tier = _RAM if in_ram(record) else _FILES
            self._known[record.name] = (record.stamp, record.reads, tier)
            stamp, reads, place = before.get(record.name, (0, 0, None))
            if record.stamp != stamp:
                events.append(Put(record.name, record.size, tier, record.score, min(now, record.stamp * _NS)))
                reads = 0 if record.reads < reads else reads
            elif tier != place:
                events.append(Moved(record.name, tier))         # a put has made room for itself, or another rank has flushed
            if record.reads > reads:
                events.append(Get(record.name, min(now, record.read * _NS or now), record.reads - reads))
        events += [Delete(name) for name in before if name not in self._known]
        return sorted(events, key=lambda event: getattr(event, "now", 0.0))

    def _levels(self, now):
        """Filled when little of the ram is free, Emptied when much is again."""
        capacity, free = self._tiers.ram.capacity, self._tiers.free(_RAM)
        if capacity - free > _FULL * capacity:
            self._was_full = True
            return [Filled(_RAM, int(capacity - free - _FULL * capacity), now)]
        if self._was_full and free > _EMPTY * capacity:
            self._was_full = False
            return [Emptied(_RAM, int(free - (1 - _FULL) * capacity), now)]
        return []

    def _carry_out(self, action):
        record = self._catalog.find(action.blob)
        try:
            done = record is not None and self._moves.move(action.blob, action.target == _RAM, action.score)
        except (WrpError, OSError) as error:
            self.organized.last_error, done = str(error), False
        if not done:
            self.organized.refused += 1
            return
        self.organized.moved, self.organized.moved_nbytes = self.organized.moved + 1, self.organized.moved_nbytes + record.size
        stamp, reads, _ = self._known[action.blob]
        self._known[action.blob] = (stamp, reads, action.target)
        self._organizer.on(Moved(action.blob, action.target))


class Nobody:
    """In place of an organizer where this rank has none."""

    is_mine = False

    def __init__(self):
        self.organized = Organized()

    def stop(self):
        """Nothing to end."""
