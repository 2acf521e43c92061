"""Addresses: the containers that a task is for, packed into the word of its record that names the pool. Pure.

A plain number of a pool is the address of its container, or shard, on this node, whose worker gets the task straight away. All
others go to the postman of the node.
"""

from wrp.errors import UsageError

SLOT_BITS, CONTAINER_BITS, TIMEOUT_BITS = 12, 16, 19
_CONTAINERS = 1 << CONTAINER_BITS
_TICK_S = 0.01
_FIRST, _COUNT, _TIMEOUT = SLOT_BITS, SLOT_BITS + CONTAINER_BITS, SLOT_BITS + 2 * CONTAINER_BITS
_JOIN = _CONTAINERS - 1         # instead of the count: tasks that become one


def pack(slot, first, count, net_timeout_s=None, joins=False):
    """The word. Raises UsageError for numbers that it has no room for."""
    if first + count >= _JOIN:
        raise UsageError(f"containers {first} to {first + count - 1}: a pool has at most {_JOIN - 1}")
    ticks = 0 if net_timeout_s is None else min(int(net_timeout_s / _TICK_S) + 1, (1 << TIMEOUT_BITS) - 1)
    return slot | first << _FIRST | (_JOIN if joins else count) << _COUNT | ticks << _TIMEOUT


def unpack(word):
    """(slot, first container, count, seconds or None, whether tasks are joined)."""
    count, ticks = word >> _COUNT & _CONTAINERS - 1, word >> _TIMEOUT
    joins = count == _JOIN
    return (word & (1 << SLOT_BITS) - 1, word >> _FIRST & _CONTAINERS - 1, 1 if joins else count, (ticks - 1) * _TICK_S if ticks else None, joins)


def slot_of(word):
    """Number of the pool's slot."""
    return word & (1 << SLOT_BITS) - 1


def is_far(word):
    """True when the postman gets the task."""
    return word >> SLOT_BITS != 0
