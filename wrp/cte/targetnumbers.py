"""The numbers of targets, which stand in the extents of records. Nothing here knows a device.

Target 0 is the node's first ram; that of another node, in records of blobs that found no room at home, has a number by `on_node`. Target k from 1 is data file k-1 of the store: such extents may stand in a journal. Others last at most as
long as the job: their numbers are the kind's shifted by 20 bits, plus their place among them.
"""

RAM = 0
_SHIFT = 20
_KINDS = ("", "ram", "file", "noop", "gpu", "ram")
_OTHER, _FIRST = 5, 1 << 16     # the kind of other nodes' ram, whose places no other target has


def extra_number(kind, place):
    """Number of the `place`-th target that is neither the first ram nor a data file. What is pinned is ram."""
    return _KINDS.index("ram" if kind == "pinned" else kind) << _SHIFT | place


def on_node(node):
    """Number of the first ram of a node, wherever it is named."""
    return _OTHER << _SHIFT | _FIRST | node


def node_of(target):
    """The node of a number that `on_node` gave; None for others."""
    return target & _FIRST - 1 if target >> _SHIFT == _OTHER else None


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
