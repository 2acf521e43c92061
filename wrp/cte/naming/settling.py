"""Settling: what an opening finds of names that were taken away and of tags that were destroyed, left out. Pure."""

from wrp.cte.names import HIDDEN, MARK
from wrp.cte.naming.table import entry_of, table_of


def settled(records):
    """The records {full name: Record} of a folder without what no name leads to: tags that were destroyed, and entries that say nothing of a tag that is there."""
    entries = [name.partition("\0")[2] for name in records if name.startswith(HIDDEN + "\0")]
    if not entries:
        return records
    table = table_of(entries)
    lost = {own for own in {record.tag for record in records.values()} if own != HIDDEN and not table.names_of(own)}
    kept = {name: record for name, record in records.items() if record.tag not in lost}
    tags = {record.tag for record in kept.values()}
    said = {name for name, own in table.owns.items() if (name[1:] in tags if name[0] == MARK else own in tags or name in tags)}
    said |= {own for name in said if (own := str(table.owns[name])) in table.owns}     # else it would be a name of its own, too
    for name, own in table.owns.items():
        if name not in said:
            del kept[entry_of(name, own)]
    return kept
