"""The numbers of targets, which stand in the extents of records. Nothing here knows a device.

Target 0 is the node's first ram. Target k from 1 is data file k-1 of the store: such extents may stand in a journal. Others last at most as
long as the job: their numbers are the kind's shifted by 20 bits, plus their place among them.
"""

RAM = 0
_SHIFT = 20
_KINDS = ("", "ram", "file", "noop", "gpu")


def extra_number(kind, place):
    """Number of the `place`-th target that is neither the first ram nor a data file."""
    return _KINDS.index(kind) << _SHIFT | place


def place_of(target):
    """What `extra_number` was given as place; None for the first ram and data files."""
    return target & (1 << _SHIFT) - 1 if target >> _SHIFT else None


def kind_of(target):
    """"ram", "file", "noop" or "gpu"."""
    if target >> _SHIFT:
        return _KINDS[target >> _SHIFT]
    return "file" if target else "ram"


def is_durable(target):
    """True when what lies there and is in the journal outlasts the job."""
    return 0 < target < 1 << _SHIFT
