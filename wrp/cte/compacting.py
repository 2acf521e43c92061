"""When a rank's journal has grown long: it is written anew with what counts of it. What the journals promise stays the same at every moment."""

from wrp.errors import WrpError


def compact(parts):
    """Shorten the journal of this rank if it is longer than performance.transaction_log_capacity. Local; not inside `flushing`."""
    if not parts.journal.is_long:
        return
    with parts.catalog.flushing():          # no other rank of the node is between a record and its journal
        try:
            parts.sync(0)                   # bytes that the journal holds, whenever they were written
        except WrpError:
            return                          # it grows on, and the next opening writes them to their places
        parts.journal.shorten(lambda removals: _needed(parts, removals))


def _needed(parts, removals):
    """Names whose removal has to stay: where something older of the name may stand in a file, or come into one yet."""
    if not removals or parts.ranks.nodes > 1:
        return removals                     # another node may be about to write an older record down
    beside = parts.folder.names_beside(parts.journal.path)
    return {name for name, stamp in removals.items() if name in beside or _is_older(parts.catalog.find(name), stamp)}


def _is_older(record, stamp):
    # of a batch that is in the journal and not yet in the catalog: a flush may still come by the old record
    return record is not None and record.stamp < stamp
