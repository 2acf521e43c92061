"""Ways: where a thread of the benchmark hands its tasks over, in an embedded runtime or in a daemon's."""

from dataclasses import dataclass

import numpy as np

from wrp.runtime.asking import SPIN_LEAST_NS

_PATIENCE_S = 30


@dataclass(frozen=True)
class Way:
    """`place` and `waits` as `loops.trip` takes them; `keeps`: what has to live as long."""

    place: tuple
    waits: tuple
    keeps: object = None


def embedded(runtime, pool):
    """The way of one thread of a rank of the runtime."""
    node = runtime.node
    return Way((node.address, pool._free, pool._lane, pool._driver, pool._doer, 0, 0), *_waits(node))


def attached(attachment, pool):
    """The way of one thread with an attachment of its own: its queue has one producer."""
    base, state, lane, record, queue = pool._places
    waits, spin = _waits(attachment)
    return Way((base, 0, lane, state, record, queue, attachment._records.popleft()), waits, (attachment, spin))


def _waits(node):
    """(what `loops.trip` takes, the word that it needs)."""
    least_ns = max(node.spin_ns, SPIN_LEAST_NS)
    spin = np.array([least_ns], np.int64)
    return (least_ns, int(min(node.timeout_s, _PATIENCE_S) * 1e9), spin.ctypes.data), spin
