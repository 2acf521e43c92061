"""The order in which the transfers of a job run: the job file's, changed only where `depends_on` asks for it."""

import difflib

from wrp.errors import JobFileError


def order(transfers):
    """The transfers as a list in which each stands after the one it depends on; JobFileError for unknown names and cycles."""
    needs = dependencies(transfers)
    done, ordered = set(), []
    for transfer in transfers:
        # walk up to the first transfer that is already placed, then place the chain from there
        chain = []
        while transfer is not None and transfer.number not in done:
            if transfer in chain:
                cycle = chain[chain.index(transfer):] + [transfer]
                raise JobFileError("'depends_on' goes in a circle: " + " -> ".join(t.label for t in cycle))
            chain.append(transfer)
            transfer = needs[transfer.number]
        for link in reversed(chain):
            done.add(link.number)
            ordered.append(link)
    return ordered


def dependencies(transfers):
    """{number: the transfer it depends on, or None}; `depends_on` holds a name, or a destination with or without `iowarp::`."""
    named = {}
    for transfer in transfers:
        for name in (transfer.dst.partition("::")[2], transfer.dst, transfer.name):
            if name:
                named.setdefault(name, []).append(transfer)
    for transfer in transfers:          # a name wins over a destination that is written the same
        if transfer.name:
            named[transfer.name] = [other for other in transfers if other.name == transfer.name]
    return {transfer.number: _needed(transfer, named) for transfer in transfers}


def _needed(transfer, named):
    wanted = transfer.depends_on
    if not wanted:
        return None
    if wanted not in named:
        near = difflib.get_close_matches(wanted, named, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(map(repr, sorted(named)))}"
        raise JobFileError(f"{transfer.label} depends on {wanted!r}, which no transfer of the job is called; {hint}")
    if len(named[wanted]) > 1:
        both = " and ".join(other.label for other in named[wanted][:2])
        raise JobFileError(f"{transfer.label} depends on {wanted!r}, which could be {both}; give them different names")
    return named[wanted][0]
