"""Where a daemon's served store is found in the daemon's segment: a record with the name of its pool, and the memory for calls. Moves no bytes."""

from wrp.comm import atomics

CALLS = "wrp_cte_calls"         # the device in which attached processes lease memory for calls
CALLS_NBYTES = 192 << 20
_REGION, _NBYTES = "wrp_cte_served", 1024


def tell(segment, pool_name):
    """Say that the store is served by this pool. Once on a node, when it is open."""
    data = pool_name.encode()
    with segment.placing(_REGION, _NBYTES) as (offset, _):
        segment.reserve(offset, _NBYTES)
        segment.buffer[offset + 8:offset + 8 + len(data)] = data
        atomics.store(segment.address + offset, len(data))


def told(segment):
    """Name of the pool that serves the store; None where there is none."""
    found = segment.find(_REGION)
    if found is None:
        return None
    start = found[0] + 8
    return bytes(segment.buffer[start:start + atomics.load(segment.address + found[0])]).decode()
