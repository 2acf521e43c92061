"""Where the runtime's records lie in the segment: lanes, task records, the free list, the pool table. Collective to make."""

from dataclasses import dataclass

from wrp.comm.ring import Ring
from wrp.runtime import lanes, pools, tasks

_RECORDS_PER_LANE = 2           # of a lane's depth: tasks that wait, and tasks that callers haven't looked at yet
_MOST_RECORDS = 1 << 13


@dataclass(frozen=True)
class Layout:
    """Offsets in the segment and counts. Rank r's jitted worker has lane 2 r, its Python worker lane 2 r + 1."""

    lanes: int
    lane_nbytes: int
    lane_count: int
    depth: int
    free: int
    records: int
    record_count: int
    pools: int

    def lane(self, number):
        return self.lanes + number * self.lane_nbytes


def nbytes_of(local_size, depth):
    """Bytes that `create` takes in a segment, more rather than less."""
    lane_count, depth, record_count = _counts(local_size, depth)
    return (lane_count * lanes.nbytes_of(depth) + Ring.nbytes(record_count) + record_count * tasks.NBYTES
            + pools.NBYTES + (1 << 16))


def create(segment, local_size, depth):
    """Place and format everything; the Layout. On one rank of the node."""
    lane_count, depth, record_count = _counts(local_size, depth)
    lane_nbytes = lanes.nbytes_of(depth)
    regions = {"lanes": lane_count * lane_nbytes, "free": Ring.nbytes(record_count),
               "records": record_count * tasks.NBYTES, "pools": pools.NBYTES}
    places = {}
    for name, nbytes in regions.items():
        places[name], _ = segment.place(f"runtime.{name}", nbytes)
        segment.reserve(places[name], nbytes)
    for number in range(lane_count):
        lanes.create(segment, places["lanes"] + number * lane_nbytes, depth)
    Ring.create(segment, places["free"], record_count)
    tasks.task_fill(segment.address, segment.address + places["free"], places["records"], record_count)
    return Layout(places["lanes"], lane_nbytes, lane_count, depth, places["free"], places["records"], record_count, places["pools"])


def _counts(local_size, depth):
    depth = 1 << (depth - 1).bit_length()
    lane_count = 2 * local_size
    wanted = min(lane_count * depth * _RECORDS_PER_LANE, _MOST_RECORDS)
    return lane_count, depth, 1 << max(wanted - 1, 63).bit_length()
