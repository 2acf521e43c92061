"""What is seen of a node's workers, devices and methods in its segment, as dictionaries. Any process of the node; nothing is asked of anybody."""

from wrp.comm import atomics
from wrp.comm.extents import extents_free
from wrp.runtime import bdev, lanes, pools
from wrp.runtime.devices.safe.seen import of_facts
from wrp.runtime.devices.spec import KINDS, noted

MODULES = {pools.ADMIN_KIND: "admin", pools.BDEV_KIND: "bdev", pools.PYTHON_KIND: "python", pools.JITTED_KIND: "jitted"}
_PERCENTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def workers(segment, layout, queued=lambda number: 0):
    """A dictionary per lane: its worker, tasks waiting (`queued(lane)` of them elsewhere), tasks done, times it woke."""
    return [_worker(number, layout.kind(number), segment.address + layout.lane(number), queued(number)) for number in range(layout.lane_count)]


def _worker(number, kind, lane, queued):
    return {"lane": number, "rank": atomics.load(lane + lanes.RANK), "pid": atomics.load(lane + lanes.PID),
            "kind": kind, "asleep": bool(atomics.load(lane + lanes.ASLEEP)),
            "waiting": lanes.lane_waiting(lane) + queued, "done": atomics.load(lane + lanes.DONE),
            "wakeups": atomics.load(lane + lanes.WAKEUPS)}


def methods(meter):
    """A dictionary per method of which tasks have ended: how many, and their nanoseconds from submission to end."""
    return [{"pool": pool, "method": method, "count": found.count, "mean_ns": found.total_ns // max(found.count, 1),
             **{f"{name}_ns": found.percentile(part) for name, part in _PERCENTILES.items()}, "max_ns": found.most_ns, "histogram": list(found.buckets)}
            for (pool, method), found in sorted(meter.latencies().items())]


def device(segment, params):
    """A dictionary of the device whose pool has its parameters at this address."""
    words = {"capacity": bdev.CAPACITY, "written": bdev.WRITTEN, "read": bdev.READ_BYTES}
    found = {key: atomics.load(params + word) for key, word in words.items()}
    extents = atomics.load(params + bdev.EXTENTS)
    if not extents:
        return {"kind": "?", **found, "free": 0}
    address = segment.address + extents
    kind, facts = KINDS.get(atomics.load(params + bdev.KIND), "?"), address - bdev.FACTS_NBYTES
    return {"kind": kind, **found, "free": extents_free(address), **noted(facts), **({"safe": of_facts(segment.address, facts)} if kind == "safe" else {})}
