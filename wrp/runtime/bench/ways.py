"""Ways: where a thread of the benchmark hands its tasks over, in an embedded runtime or in a daemon's."""

from dataclasses import dataclass

from wrp.runtime.asking import SPIN_LEAST_NS

_PATIENCE_S = 30


@dataclass(frozen=True)
class Way:
    """`place` and `waits` as `loops.trip` takes them; `keeps`: what has to live as long."""

    place: tuple
    waits: tuple
    keeps: object = None


def embedded(runtime, pool):
    """The way of a rank of the runtime; any number of threads share it."""
    node = runtime.node
    return Way((node.address, pool._free, pool._lane, pool._driver, 0, 0, 0), _waits(node))


def attached(attachment, pool):
    """The way of one thread with an attachment of its own: its queue has one producer."""
    base, state, lane, record, queue = pool._places
    return Way((base, 0, lane, state, record, queue, attachment._records.popleft()), _waits(attachment), attachment)


def _waits(node):
    return max(node.spin_ns, SPIN_LEAST_NS), int(min(node.timeout_s, _PATIENCE_S) * 1e9)
