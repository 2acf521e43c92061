"""What one worker keeps for itself: where things lie in its process, its timers, and the tasks that can go on."""

import os

import numpy as np

from wrp.runtime import clients
from wrp.runtime.waiting import heap

# Byte offsets of words
BASE = 0            # address of the segment
FREE = 8            # address of the free list of records
LANE = 16           # address of its lane
LANE_OFFSET = 24    # the same as an offset
LANE_NUMBER = 32
LANES = 40          # address of the first lane
LANE_COUNT = 48
LANE_NBYTES = 56
POOLS = 64          # address of the pool table's entries
NBYTES = 72         # of the segment
HEAP = 80           # address of its timers
SERIALS = 88        # serials given
PARKED = 96         # tasks that wait, without periodic ones
AGAIN_COUNT = 104   # those of them that only look again and again whether others are done
READY_FIRST, READY_LAST = 112, 120      # list of tasks that can go on, 0: none
WANTS_RECORDS = 128     # 1: a handler found no free record
HANDLERS = 136      # address of the table of jitted handlers of modules of users
METER = 144         # address of its meter
TASK = 152          # offset of the task that runs
REQUESTS = 160      # address of the queue of this process's I/O threads, 0: none
IN_FLIGHT = 168     # requests that they have of this worker
SLOW_UNTIL = 176    # ns of the monotonic clock: until then writes to files are theirs, because one has made this worker wait
PID = 184           # this process
LENT = 200          # tasks that threads of this process do themselves, until they are counted: who waits for its bytes moves them
NOTED, COUNTED = 208, 216       # notes of such tasks ever written, and counted, see `wrp.runtime.inline`
FDS = 192           # address of this process's file descriptors, see `wrp.runtime.bdev`
NOTES = 256         # the notes, LENT_MOST of them
LENT_MOST, NOTE_NBYTES = 64, 64
_WORDS = (NOTES + LENT_MOST * NOTE_NBYTES) // 8

METHODS = 64        # methods of a module with jitted handlers: 0 to 63


class Context:
    """The memory of one worker. `address` goes to kernels; the object has to live as long as they run."""

    def __init__(self, node, number, handlers=None, meter=0):
        layout = node.layout
        self._words = np.zeros(_WORDS, np.int64)
        # address space for a timer of every record: pages are backed as timers are set
        self._heap = np.zeros(heap.words_of(layout.most_records + clients.MOST * clients.RECORDS), np.int64)
        self._handlers = handlers
        self.address = self._words.ctypes.data
        lane = layout.lane(number)
        for offset, word in ((BASE, node.address), (FREE, node.address + layout.free), (LANE, node.address + lane),
                             (LANE_OFFSET, lane), (LANE_NUMBER, number), (LANES, node.address + layout.lane(0)),
                             (LANE_COUNT, layout.lane_count), (LANE_NBYTES, layout.lane_nbytes),
                             (POOLS, node.table.entry(0)), (NBYTES, node.segment.nbytes), (HEAP, self._heap.ctypes.data),
                             (HANDLERS, 0 if handlers is None else handlers.ctypes.data), (METER, meter), (PID, os.getpid())):
            self[offset] = word

    def __getitem__(self, offset):
        return int(self._words[offset // 8])

    def __setitem__(self, offset, word):
        self._words[offset // 8] = word
