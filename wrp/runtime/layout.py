"""Where the runtime's records lie in the segment: lanes, task records, free list, pool table, mail. Collective to make."""

from dataclasses import dataclass

from wrp.comm import atomics, mailbox, reserve
from wrp.runtime import lanes, pools, records, tasks
from wrp.runtime.meter import block

_RECORDS_PER_LANE = 2           # of a lane's depth: tasks that wait, and tasks that callers haven't looked at yet
_FIRST_RECORDS = 1 << 13        # at the start, at most
_MOST_RECORDS = 1 << 18         # after growing, at most; and records take at most this part of the memory that is free:
_PART_OF_MEMORY = 8


@dataclass(frozen=True)
class Layout:
    """Offsets in the segment and counts. Rank r's jitted worker has lane 2 r, its Python worker lane 2 r + 1; where the job has
    several nodes the last lane is the postman's. `mail` is 0 without one."""

    lanes: int
    lane_nbytes: int
    lane_count: int
    depth: int
    free: int
    records: int
    most_records: int
    pools: int
    meters: int
    mail: int

    @property
    def postman(self):
        """Number of the postman's lane."""
        return self.lane_count - 1

    @property
    def joining(self):
        """Number of the lane where tasks become one: the postman's, or where there is none that of the first rank's Python worker."""
        return self.postman if self.mail else 1

    def kind(self, lane):
        """What serves a lane, by its number: jitted, python or postman."""
        if self.mail and lane == self.postman:
            return "postman"
        return "python" if lane % 2 else "jitted"

    def meter(self, number):
        """Offset of the meter of a lane's worker."""
        return self.meters + number * block.NBYTES

    def lane(self, number):
        return self.lanes + number * self.lane_nbytes


def most_records():
    """Records of tasks that a node gets address space for; they are backed as tasks need them."""
    free = reserve.free_bytes()
    return _MOST_RECORDS if free is None else min(_MOST_RECORDS, max(_FIRST_RECORDS, free // _PART_OF_MEMORY // tasks.NBYTES))


def mail_nbytes(job, mail_depth):
    """Bytes of a node's mail. `job`: (ranks of this node, nodes, ranks of all nodes)."""
    return mailbox.nbytes_of(job[1], job[2], mail_depth) if job[1] > 1 else 0


def nbytes_of(job, depth, most, mail_depth):
    """Bytes that `create` takes in a segment, more rather than less."""
    lane_count, depth, count = _counts(job, depth)
    return (lane_count * lanes.nbytes_of(depth) + max(count, most) * tasks.NBYTES + lane_count * block.NBYTES + pools.NBYTES
            + mail_nbytes(job, mail_depth) + (1 << 16))


def create(segment, job, depth, most, mail_depth):
    """Place and format everything; the Layout. On one rank of the node."""
    lane_count, depth, count = _counts(job, depth)
    most = max(count, most)
    lane_nbytes = lanes.nbytes_of(depth)
    regions = {"lanes": lane_count * lane_nbytes, "free": tasks.FREE_NBYTES,
               "records": most * tasks.NBYTES, "pools": pools.NBYTES,
               "meters": lane_count * block.NBYTES}
    if job[1] > 1:
        regions["mail"] = mail_nbytes(job, mail_depth)
    places = {}
    for name, nbytes in regions.items():
        places[name], _ = segment.place(f"runtime.{name}", nbytes)
        if name not in ("records", "meters"):
            segment.reserve(places[name], nbytes)
    for number in range(lane_count):
        lanes.create(segment, places["lanes"] + number * lane_nbytes, depth)
        segment.reserve(places["meters"] + number * block.NBYTES, block.RING)       # the trace is backed when it is wanted
    atomics.store(segment.address + places["free"] + tasks.MOST, most)
    layout = Layout(places["lanes"], lane_nbytes, lane_count, depth, places["free"], places["records"], most, places["pools"],
                    places["meters"], places.get("mail", 0))
    records.add(segment, layout, count)
    return layout


def _counts(job, depth):
    depth = 1 << (depth - 1).bit_length()
    lane_count = 2 * job[0] + (job[1] > 1)
    wanted = min(lane_count * depth * _RECORDS_PER_LANE, _FIRST_RECORDS)
    return lane_count, depth, 1 << max(wanted - 1, 63).bit_length()
