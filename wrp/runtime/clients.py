"""The client table of a daemon: a slot for every attached process, with its records, its queues and what it has leased.

A slot is claimed by one compare-and-swap of the process's identity, so that whoever holds it is known at any instruction; the
daemon alone gives it out again (see daemon/reaping.py). The daemon writes what it needs for that, the client only its own queues and records.
"""

from wrp.comm import atomics
from wrp.comm.extents import Extents, extents_claim, extents_format, extents_give
from wrp.comm.jit import kernel
from wrp.runtime import lanes, queues, tasks

MOST = 256                      # attached processes of a node
RECORDS = queues.TASKS_AT_ONCE       # tasks that one of them has at once
HELD_RUNS = 1024                # most runs that one of them has leased

STARTING, READY, STOPPING = 1, 2, 3   # states of the daemon
GONE = -3                       # of a submission: the daemon stops, or has stopped
NOT_PREPARED, PREPARED_WELL, NO_MEMORY = 0, 1, 2

# Byte offsets in a slot
OWNER = 0                       # identity of the process, 0: free
LEFT = 8                        # 1: the process has done with it
PREPARED = 16                   # NOT_PREPARED, PREPARED_WELL, or NO_MEMORY
LOCK = 24                       # workers change what it holds one at a time
REQUEST = 64                    # number of its last request, a futex is ANSWER
ANSWER = 72                     # number of the last request answered
TEXT_COUNT = 80                 # bytes of the request or the answer
TEXT = 128
TEXT_NBYTES = 4096
HELD = TEXT + TEXT_NBYTES       # a table of extents: its "free" runs are those the process holds
TASKS = -(-(HELD + Extents.nbytes(HELD_RUNS)) // 64) * 64
QUEUES = TASKS + RECORDS * tasks.NBYTES

_POOL_SHIFT = 48                # a run of pool p lies at p << 48 in the table of held ones
_ALL = 1 << 62
HEADER_NBYTES = 64              # before the first slot; the queues' records follow the slots


def slot_nbytes(lane_count):
    """Bytes of one slot."""
    return QUEUES + lane_count * queues.QUEUE_NBYTES


def nbytes_of(lane_count):
    """Bytes of the table with the lanes' records of queues; pages are backed as slots are used."""
    return HEADER_NBYTES + lane_count * queues.NBYTES + MOST * slot_nbytes(lane_count)


@kernel
def client_submit(places, offset, due, pool, method, count, a0, a1, a2, a3, a4, a5):
    """Fill this process's record at `offset` of the segment, queue it and wake the worker: `offset`, or GONE. One thread at a time.

    due : the task's deadline (ns of the monotonic clock), 0: none
    places : (segment, state of the daemon, lane, record of the lane's queues, this process's queue), addresses
    """
    base, state, lane, record, queue = places
    if atomics.load(state) != READY:
        return GONE
    task = base + offset
    atomics.store(task + tasks.TAKEN, 0)        # first: a record that isn't in a queue and not taken is nobody's
    tasks.task_prepare(task, pool, method, count, a0, a1, a2, a3, a4, a5)
    tasks.put(task + tasks.DUE, due)
    queues.queue_push(queue, offset)
    _wake(lane, record)
    return offset


@kernel
def client_submit_many(places, offsets, pool, method, rows):
    """As `client_submit`, for each row of `rows` (n, k) with this process's records at `offsets` (n) and one wake: n, or GONE."""
    base, state, lane, record, queue = places
    if atomics.load(state) != READY:
        return GONE
    for number in range(len(rows)):
        task = base + offsets[number]
        atomics.store(task + tasks.TAKEN, 0)
        tasks.row_prepare(task, pool, method, rows, number)
        queues.queue_push(queue, offsets[number])
    _wake(lane, record)
    return len(rows)


@kernel
def client_notify(places, offset):
    """Tell the worker to look at a task of this process that was cancelled; False when the queue has much of that. One thread at a time."""
    base, state, lane, record, queue = places
    if not queues.queue_push_word(queue, offset + 1):
        return False
    _wake(lane, record)
    return True


@kernel
def _wake(lane, record):
    queues.queues_ring(record)
    if atomics.exchange(lane + lanes.ASLEEP, 0) == 1:
        atomics.futex_wake(lane + lanes.ASLEEP, 1)


@kernel
def client_busy(slot, queue_count):
    """True while a worker has, or will take, a task of this slot. For a process that submits nothing any more."""
    for number in range(queue_count):
        if queues.queue_count(slot + QUEUES + number * queues.QUEUE_NBYTES) != 0:
            return True
    for number in range(RECORDS):
        task = slot + TASKS + number * tasks.NBYTES
        if atomics.load(task + tasks.TAKEN) == 1 and atomics.load(task + tasks.STATE) != tasks.DONE:
            return True
    return False


@kernel
def _lock(slot):
    while atomics.swap(slot + LOCK, 0, 1) != 0:     # its holder is another worker of the same daemon: it won't be long
        atomics.pause()


@kernel
def client_hold(slot, pool, offset, nbytes):
    """Note that the process has leased this run: 0, or a code of extents.py when its table is full."""
    _lock(slot)
    code = extents_give(slot + HELD, (pool << _POOL_SHIFT) + offset, nbytes)
    atomics.store(slot + LOCK, 0)
    return code


@kernel
def client_release(slot, pool, offset, nbytes):
    """Note that it gives this run back: 0, or a code of extents.py when it doesn't hold all of it."""
    if offset < 0 or offset >> _POOL_SHIFT:
        return -2
    _lock(slot)
    code = extents_claim(slot + HELD, (pool << _POOL_SHIFT) + offset, nbytes)
    atomics.store(slot + LOCK, 0)
    return code


class ClientTable:
    """The table in a segment. `lanes`: how many lanes the node has."""

    def __init__(self, segment, offset, lane_count):
        self.segment, self.offset, self.lane_count = segment, offset, lane_count
        self.address = segment.address + offset
        self._first = HEADER_NBYTES + lane_count * queues.NBYTES
        self._stride = slot_nbytes(lane_count)

    @classmethod
    def create(cls, segment, layout):
        """Place the table and tell every lane where its queues are. On one rank of the node, before any process attaches."""
        lane_count = layout.lane_count
        offset, _ = segment.place("clients", nbytes_of(lane_count))
        table = cls(segment, offset, lane_count)
        segment.reserve(offset, table._first)
        for number in range(lane_count):
            record, first = table.queues(number), table.slot(0) + QUEUES + number * queues.QUEUE_NBYTES
            atomics.store(record + queues.FIRST, first - record)
            atomics.store(record + queues.STRIDE, table._stride)
            atomics.store(record + queues.MARKS, segment.address + tasks.TAKEN - record)
        # every slot's first page says whether it is free
        for number in range(MOST):
            segment.reserve(offset + table._first + number * table._stride, TEXT)
        return table

    def queues(self, lane):
        """Address of the record of a lane's queues."""
        return self.address + HEADER_NBYTES + lane * queues.NBYTES

    def slot(self, number):
        """Address of a slot."""
        return self.address + self._first + number * self._stride

    def queue(self, number, lane):
        """Address of a slot's queue for a lane."""
        return self.slot(number) + QUEUES + lane * queues.QUEUE_NBYTES

    def record(self, number, task):
        """Offset in the segment of a slot's record of a task."""
        return self.slot(number) + TASKS + task * tasks.NBYTES - self.segment.address

    def owners(self):
        """{number of the slot: identity} of all slots that aren't free."""
        words = ((number, atomics.load(self.slot(number) + OWNER)) for number in range(MOST))
        return {number: word for number, word in words if word}

    def claim(self, word):
        """Number of a slot that is now the process's of this identity, the lowest free one; None when all are taken."""
        for number in range(MOST):
            if atomics.load(self.slot(number) + OWNER) == 0 and atomics.swap(self.slot(number) + OWNER, 0, word) == 0:
                return number
        return None

    def is_prepared(self, number):
        """True when the slot's memory may be looked at."""
        return atomics.load(self.slot(number) + PREPARED) == PREPARED_WELL

    def leave(self, number):
        """Say that the slot's process has done with it: the daemon takes it back."""
        atomics.store(self.slot(number) + LEFT, 1)

    # the daemon's

    def prepare(self, number):
        """Back and format a slot before its first use. Raises OutOfSpace."""
        slot = self.slot(number)
        if self.is_prepared(number):
            return
        self.segment.reserve(slot - self.segment.address, self._stride)
        extents_format(slot + HELD, _ALL, HELD_RUNS)
        extents_claim(slot + HELD, 0, _ALL)
        for task in range(RECORDS):
            atomics.store(slot + TASKS + task * tasks.NBYTES + tasks.CLIENT, slot - self.segment.address)
        for lane in range(self.lane_count):
            record = self.queues(lane)
            atomics.store(record + queues.HIGH, max(atomics.load(record + queues.HIGH), number + 1))
        atomics.store(slot + PREPARED, PREPARED_WELL)

    def held(self, number):
        """List of (slot of the pool, offset, nbytes) that a slot's process has leased."""
        slot = self.slot(number)
        if not self.is_prepared(number):
            return []
        mask = (1 << _POOL_SHIFT) - 1
        return [(start >> _POOL_SHIFT, start & mask, nbytes) for start, nbytes in Extents.attach(self.segment, slot + HELD
                - self.segment.address).runs()]

    def free(self, number):
        """Give a slot out again."""
        slot = self.slot(number)
        if atomics.load(slot + PREPARED) == NO_MEMORY:
            atomics.store(slot + PREPARED, NOT_PREPARED)
        atomics.store(slot + LEFT, 0)
        atomics.store(slot + ANSWER, atomics.load(slot + REQUEST))
        atomics.store(slot + OWNER, 0)
