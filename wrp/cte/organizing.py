"""The driver of an organizer: tells it what happened in the node's catalog since the last look, and carries out what it wants.

It runs in a thread of the first rank of each node, or when it is called. Which blobs move is decided in wrp/cte/organizer, how one moves in
moving.py. To the organizer every target of the node that keeps what it is given is a tier: the first ram, then the others, the fastest first.
"""

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass

from wrp.comm.turn import Turn
from wrp.cte import organizer
from wrp.cte.background import Background
from wrp.cte.glance import Glances
from wrp.cte.organizer import Delete, Emptied, Filled, Get, Moved, Put, Tick, Tier
from wrp.cte.organizer.contract import DEMOTE, EVICT
from wrp.cte.organizer.log import Logs
from wrp.cte.records import RAM, key_of
from wrp.cte.targetnumbers import is_durable
from wrp.errors import WrpError

_log = logging.getLogger("wrp.cte")

_FULL, _EMPTY = 0.95, 0.5       # parts of a tier: above, blobs are taken out; below, after that, some come back
_ENDLESS = 1 << 62              # the last tier's capacity: what it can't take, it refuses itself
_NS = 1e-9


@dataclass
class Organized:
    """What an organizer has done on this node: looks, moves, moves that didn't come about, and the last error, which ends none."""

    looks: int = 0
    moved: int = 0
    moved_nbytes: int = 0
    refused: int = 0
    last_error: str = ""


class Organizing:
    """One organizer over one node's catalog. `look` may be called by any thread of the rank, one at a time; `start` does so by itself.

    most : moves per look
    log : what the names of files begin with that get what the organizer sees and wishes (organizer/log.py); "": none
    """

    is_mine = True              # this rank looks; see Nobody

    @staticmethod
    def of(parts, moves):
        """The one of a store as it is configured, started; or one that does nothing, where nothing can move or another rank looks."""
        get, tiers = parts.config.get, parts.tiers
        name = get("performance.organizer")
        if name == "none" or parts.ranks.local_rank or not parts.write or tiers.ram is None or len(tiers_of(tiers)) < 2:
            return Nobody()
        settings = {key: get(f"performance.{key}") for key in ("score_threshold", "score_difference_threshold")}
        log = get("performance.organizer_log")
        made = Organizing(parts.catalog, tiers, moves, name, get("performance.max_concurrent_operations"), log and f"{log}-{parts.ranks.node}",
                          **settings if name == "frecency" else {})
        made.start(get("performance.organizer_period_ms") / 1000, get("runtime.timeout_s"))
        return made

    def __init__(self, catalog, tiers, moves, name, most=64, log="", **settings):
        self._catalog, self._tiers, self._moves = catalog, tiers, moves
        self._logs = Logs(log) if log else None
        make = organizer.make if self._logs is None else self._logs.made
        self._make = lambda found: make(name, found, **settings)
        self._most, self._timeout_s = most, 0.0
        self._turn, self._thread = Turn(), Background("wrp-organizer")
        self.organized = Organized()
        self._begin(tiers_of(tiers))

    def _begin(self, found):
        """Know nothing but these tiers."""
        self._found, self._organizer, self._glances = found, self._make(found), Glances(self._catalog)
        self._known, self._names, self._full = {}, {}, set()

    def start(self, period_s, timeout_s):
        """Look every `period_s` seconds until `stop`, which waits `timeout_s` for the last look."""
        self._timeout_s = timeout_s
        self._thread.start(self._run, period_s)

    def stop(self):
        """End the thread, after the move that it is at. Idempotent. WaitTimeout: see Background.stop."""
        self._thread.stop(self._timeout_s)
        if self._logs is not None:
            self._logs.close()

    def _run(self, period_s):
        while self._thread.naps(period_s):
            try:
                self.look()
            except (WrpError, OSError) as error:
                # organizing is a favour: what a put or a flush can't do, they say themselves
                self.organized.last_error = str(error)
            except Exception as error:
                self._tell(error)

    def _tell(self, error):
        """Of a fault of the policy, or of what carries out its wishes: once, however often it comes."""
        said = f"{type(error).__name__}: {error}"
        if self.organized.last_error != said:
            _log.error("the organizer failed at a look, and goes on with the next one, knowing no earlier use of any blob (%s)", said, exc_info=error)
        self.organized.last_error = said

    def look(self):
        """Tell the organizer what is new, and do what it wants. Raises what a move or a look at the catalog raises."""
        with self._turn.of("the organizer"), self._anew_after_a_fault():
            found = tiers_of(self._tiers)
            if found != self._found:
                self._begin(found)              # a target came or went
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
            if self._logs is not None:
                self._logs.flush()

    @contextmanager
    def _anew_after_a_fault(self):
        """A policy that has failed in the middle knows half of what happened: the next look begins with another."""
        try:
            yield
        except (WrpError, OSError):
            raise
        except Exception:
            self._found = None
            raise

    def _news(self, now):
        """Events of what the catalog shows since the last look: what is gone or moved, then puts and gets by their time."""
        events = []
        changed, gone = self._glances.look()
        for record in changed:
            tier = self._tier_of(record)
            stamp, reads, place = self._known.get(record.name, (0, 0, None))
            self._known[record.name] = (record.stamp, record.reads, tier)
            self._names[key_of(record.name)[0]] = record.name
            if record.stamp != stamp:
                events.append(Put(record.name, record.size, tier, record.score, min(now, record.stamp * _NS)))
                reads = 0 if record.reads < reads else reads
            elif tier != place:
                events.append(Moved(record.name, tier))         # a put has made room for itself, or another rank has flushed
            if record.reads > reads:
                events.append(Get(record.name, min(now, record.read * _NS or now), record.reads - reads))
        for key in gone.tolist():
            name = self._names.pop(key, None)
            if name is not None:
                del self._known[name]
                events.append(Delete(name))
        return sorted(events, key=lambda event: getattr(event, "now", 0.0))

    def _tier_of(self, record):
        """The number of the tier where the blob is read from: the ram where any of it is there; the last one for files of other jobs and nodes."""
        targets = [extent[0] for extent in record.extents]
        if RAM in targets:
            return RAM
        known = {tier.number for tier in self._found}
        return targets[0] if targets and targets[0] in known else self._found[-1].number

    def _levels(self, now):
        """Filled when little of a tier is free, Emptied when much is again; not of the last one."""
        events = []
        for tier in self._found[:-1]:
            capacity, free = tier.capacity, self._tiers.free(tier.number)
            if capacity - free > _FULL * capacity:
                self._full.add(tier.number)
                events.append(Filled(tier.number, int(capacity - free - _FULL * capacity), now))
            elif tier.number in self._full and free > _EMPTY * capacity:
                self._full.remove(tier.number)
                events.append(Emptied(tier.number, int(free - (1 - _FULL) * capacity), now))
        return events

    def _carry_out(self, action):
        record = self._catalog.find(action.blob)
        numbers = [tier.number for tier in self._found]
        # a file also holds what is read from above: one that has no room after all passes on what comes down
        wanted = [action.target] if action.kind not in (DEMOTE, EVICT) else numbers[numbers.index(action.target):]
        target = next((number for number in wanted if record is not None and self._moved(action, number)), None)
        if target is None:
            self.organized.refused += 1
            return
        self.organized.moved, self.organized.moved_nbytes = self.organized.moved + 1, self.organized.moved_nbytes + record.size
        stamp, reads, _ = self._known[action.blob]
        self._known[action.blob] = (stamp, reads, target)
        self._organizer.on(Moved(action.blob, target))

    def _moved(self, action, number):
        # where one file takes all that lasts, a blob that it has needn't be written there again
        target = None if is_durable(number) and sum(is_durable(tier.number) for tier in self._found) == 1 else number
        try:
            return self._moves.to(action.blob, target, action.score)
        except (WrpError, OSError) as error:
            self.organized.last_error = str(error)
            return False


def tiers_of(tiers):
    """[Tier] of the targets of a node that keep what they are given, from the fastest to the slowest."""
    targets = [target for target in tiers.placing.targets if target.kind != "noop"]
    targets.sort(key=lambda target: (target.number != RAM, -target.read_mbps, target.latency_us, target.number))
    found = [Tier(target.number, 1.0 - place / len(targets), target.capacity) for place, target in enumerate(targets)]
    return found[:-1] + [found[-1]._replace(capacity=_ENDLESS)] if found else []


class Nobody:
    """In place of an organizer where this rank has none."""

    is_mine = False

    def __init__(self):
        self.organized = Organized()

    def stop(self):
        """Nothing to end."""
