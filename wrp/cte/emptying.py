"""Emptying a target of a node: what it holds is elsewhere before it goes. That it takes nothing new, the caller has seen to on every rank.

All copies are made before the first blob changes, so that a refusal leaves every blob where it was. Each then moves as in moving.py: a reader
sees the old place or the new one.
"""

import time

from wrp.comm.digests import crc32_of
from wrp.comm.sizes import format_size
from wrp.cte import pieces
from wrp.cte.records import BLOB
from wrp.cte.targetnumbers import kind_of
from wrp.cte.targets import Wish
from wrp.errors import UsageError, WaitTimeout

_LONGEST_S, _NAP_S = 10.0, 0.002        # how long somebody else's bytes may stay


def empty(parts, moves, number, longest_s=_LONGEST_S):
    """Move what lies on the target to where the policy wants it. Local.

    Raises OutOfSpace when the others have no room, UsageError for bytes that nobody has (noop): no blob has moved then. WaitTimeout when
    something without a name keeps bytes there, such as a batch that is under way: the blobs have moved, and are whole.
    """
    name, end = parts.tiers.said(number), time.monotonic() + longest_s
    while True:
        records = parts.catalog.scan(kind=BLOB, target=number)
        if records and kind_of(number) == "noop":
            raise UsageError(f"target {name!r} is of kind noop and forgot the bytes of {len(records)} blobs, such as {records[0].blob!r} of tag "
                             f"{records[0].tag!r}: delete them first")
        if any([moves.switch(record, extents) for record, extents in _copies(parts, records, number)]):
            continue
        # a put may have had its space before the target was told to leave: it has a name soon
        if not parts.tiers.used(number):
            break
        if time.monotonic() > end:
            raise WaitTimeout(f"target {name!r} still holds {format_size(parts.tiers.used(number))} that no blob names, after {longest_s:g} s: end the "
                              "batch or the put that is under way, and call again")
        time.sleep(_NAP_S)
    with parts.catalog.flushing():          # no flush reads there by an old record
        parts.tiers.clear(number)


def _copies(parts, records, number):
    """[(record, extents that hold its bytes elsewhere)]; a blob that is replaced meanwhile is left out. On an error no copy is left."""
    found = []
    try:
        for record in records:
            extents = _elsewhere(parts, record, number)
            if extents is not None:
                found.append((record, extents))
    except BaseException:
        for record, extents in found:
            parts.tiers.give_back(set(extents) - set(record.extents) - set(record.durable))
        raise
    return found


def _elsewhere(parts, record, number):
    if record.durable and not record.dirty:
        return record.durable               # files have all of it
    extents, tiers = [], parts.tiers
    try:
        for extent in record.extents:
            if extent[0] != number:
                extents.append(extent)
                continue
            content = tiers.content(extent)
            if crc32_of(content) != extent[3]:
                if parts.catalog.still(record):
                    pieces.fail(record)
                break
            extents += pieces.write(tiers, content, wish=Wish(record.score))
        else:
            return tuple(extents)
    except BaseException:
        tiers.give_back(set(extents) - set(record.extents))
        raise
    tiers.give_back(set(extents) - set(record.extents))
    return None
