"""Search by time over records of the catalog."""

import heapq
from typing import NamedTuple

from wrp.comm.sizes import whole
from wrp.cte.given import real
from wrp.cte.records import BLOB
from wrp.errors import UsageError


class Change(NamedTuple):
    """A blob and when it was changed last: ns of the wall clock, growing with every change of the store."""

    stamp: int
    tag: str
    blob: str


def times_of(since, until, limit):
    """The arguments of a search by time. UsageError."""
    since, until, limit = real(since, "the begin of a search"), until if until is None else real(until, "the end of a search"), whole(limit, "a limit of", 0)
    if until is not None and until < since:
        raise UsageError(f"a search from {since} to {until} can't be: times must grow")
    return since, until, limit


def changed_between(records, since=0, until=None, limit=0):
    """Changes of the blobs among `records` that were changed last at `since` or later and before `until`, the oldest first.

    since, until, limit : as `times_of` gives them: ns since 1970, `until` None: no end. limit : at most so many, the oldest; 0: all
    """
    found = (Change(record.stamp, record.tag, record.blob) for record in records
             if record.kind == BLOB and since <= record.stamp and (until is None or record.stamp < until))
    return heapq.nsmallest(limit, found) if limit else sorted(found)
