"""Flushes of a store by itself, at the periods of the configuration, in a thread of each rank. What a flush does is in flush.py."""

import time

from wrp.cte.background import Background
from wrp.cte.placement.contract import VOLATILE
from wrp.errors import StoreError, WrpError


class Periodic:
    """The flushes of one rank: the first of a node writes what all have put, each what it has removed.

    flush, parts : of the rank; an error of a flush becomes `parts.failure`, which the next call that changes something raises
    periods : [(seconds between flushes, `least` of Flush.run)]
    """

    @staticmethod
    def of(parts, flush):
        """The one of a store as it is configured, started; or one that does nothing."""
        get = parts.config.get
        periods = [(get("performance.flush_metadata_period_ms") / 1000, VOLATILE),
                   (get("performance.flush_data_period_ms") / 1000, get("performance.flush_data_min_persistence"))]
        made = Periodic(parts, flush, [period for period in periods if period[0]])
        if parts.folder is not None and parts.write:
            made.start()
        return made

    def __init__(self, parts, flush, periods):
        self._parts, self._flush, self._periods = parts, flush, periods
        self._thread = Background("wrp-flush")

    def start(self):
        """Flush until `stop`, if there is a period."""
        if self._periods:
            self._thread.start(self._run)

    def stop(self):
        """End the thread, after the flush that it is at, however long that takes while bytes move. Idempotent. WaitTimeout: see Background.stop."""
        self._thread.stop(self._parts.config.get("runtime.timeout_s"), goes_on=self._parts.tiers.counters.watch())

    def _run(self):
        due = [time.monotonic() + period_s for period_s, _ in self._periods]
        while self._thread.naps(max(0.0, min(due) - time.monotonic())):
            now = time.monotonic()
            least = max(least for (_, least), moment in zip(self._periods, due) if moment <= now)
            try:
                self._write(least)
            except Exception as error:
                self._parts.failure = _as_told(error)
            # what was due is due again a period after its end: a slow disk isn't flushed to all the time
            end = time.monotonic()
            due = [end + period_s if moment <= now else moment for (period_s, _), moment in zip(self._periods, due)]

    def _write(self, least):
        if self._parts.ranks.local_rank == 0:
            self._flush.run(least)
        else:
            self._flush.write_removals()


def _as_told(error):
    kind = type(error) if isinstance(error, WrpError) else StoreError
    return kind(f"a flush that the store made by itself failed: {error}; what was put or removed since the one before isn't durable until a flush succeeds")
