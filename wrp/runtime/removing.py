"""Removing pools: what still needs one, and the memory of one that goes. Removes nothing from any table."""

import numpy as np

from wrp.comm import atomics
from wrp.comm.extents import extents_free
from wrp.comm.reserve import release
from wrp.comm.sizes import format_size
from wrp.runtime import bdev, clients, pools, records, tasks
from wrp.runtime.devices.safe.device import memories
from wrp.runtime.routing.address import slot_of

BUILT_IN = ("admin", "monitor")
_OPEN = (tasks.SUBMITTED, tasks.SLEEPING, tasks.WATCHED)        # somebody waits for these; others' records may be free


def reason(node, slot, name):
    """Why the pool in this slot can't be removed: half a sentence, "" when it can. On one rank of the node."""
    if name in BUILT_IN:
        return "it is built in"
    extents = atomics.load(slot.params + bdev.EXTENTS) if slot.kind == pools.BDEV_KIND else 0
    if extents:
        leased = atomics.load(slot.params + bdev.CAPACITY) - extents_free(node.address + extents)
        if leased:
            return f"{format_size(leased)} of it are leased: have the processes that have them end or give them back"
    count = _tasks_of(node, slot)
    return f"{count} of its tasks are under way: wait for them, or cancel them" if count else ""


def release_memory(node, slot, name):
    """Of a device that is gone: its memory is free again for others; the segment keeps the address space for the next one of the name."""
    params = slot.params
    base, capacity, extents = (atomics.load(params + word) for word in (bdev.BASE, bdev.CAPACITY, bdev.EXTENTS))
    atomics.store(params + bdev.EXTENTS, 0)         # tasks that come too late are refused
    if atomics.load(params + bdev.KIND) == bdev.RAM and base:
        release(node.address + base, capacity)
    if atomics.load(params + bdev.KIND) == bdev.SAFE and extents:
        for at, nbytes in memories(node.segment, name, node.address + extents - bdev.FACTS_NBYTES):
            release(node.address + at, nbytes)


def _tasks_of(node, slot):
    """Tasks of the pool, of ranks and of attached processes, that aren't done."""
    mine = set(node.table.entries_of(slot))
    layout, count = node.layout, 0
    places = [(layout.records, records.count(node.address, layout))]
    region = node.segment.find("clients")
    if region is not None:
        table = clients.ClientTable(node.segment, region[0], layout.lane_count)
        for number in table.owners():
            if table.is_prepared(number):
                places.append((table.record(number, 0), clients.RECORDS))
    for first, many in places:
        words = np.frombuffer(node.segment.buffer, np.int64, many * tasks.NBYTES // 8, first).reshape(many, -1)
        found = words[np.isin(words[:, tasks.STATE // 8], _OPEN)]
        count += sum(slot_of(word) in mine for word in found[:, tasks.POOL // 8].tolist() if word >= 0)
        del words, found
    return count
