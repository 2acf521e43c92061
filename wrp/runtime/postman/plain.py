"""Plain: what the postman in Python knows of plain tasks, which the kernel of `quick` moves without it."""

import os

import numpy as np

from wrp.comm import atomics
from wrp.comm.mailbox import WORDS
from wrp.runtime import asking, tasks
from wrp.runtime.calling import address_of
from wrp.runtime.inline import run_inline
from wrp.runtime.postman import desk, news, quick

_AS_QUIET_NS = 64_000_000   # as if nothing had crossed for so long: naps of a millisecond
_TURNS_NS = 20_000_000      # the kernel comes back to Python this often, for its clocks
_HOLDER = 0x7FFFFFFF        # in place of a thread's id: whichever thread has the kernel


class Plain:
    """The memory of one postman's kernel. `is_quick`: False where MPI can't be called from kernels; then nothing is plain.

    mail : Mailboxes; notes : Notes; busy_ns, longest_ns: how long it polls, and naps at most
    """

    def __init__(self, node, lane_offset, mail, notes, busy_ns, longest_ns):
        self._notes, self._base, self._names, self._mail = notes, node.address, mail.names, mail
        self.holder = os.getpid() << 32 | _HOLDER
        self._words = np.zeros(desk.WORDS, np.int64)
        self._nodes = np.zeros((node.count, desk.NODE_WORDS), np.int64)
        self._sent, self._served = (np.zeros((desk.ROWS, desk.ROW_WORDS), np.int64) for _ in range(2))
        self._come, self._letter = np.zeros(mail.count, np.int64), np.zeros(WORDS, np.int64)
        self.is_quick = mail.calls != 0
        self.address, layout = self._words.ctypes.data, node.layout
        for place, word in ((desk.BASE, node.address), (desk.FREE, node.address + layout.free), (desk.LANE, node.address + lane_offset),
                            (desk.LANE_OFFSET, lane_offset), (desk.LANES, node.address + layout.lane(0)), (desk.LANE_NBYTES, layout.lane_nbytes),
                            (desk.TABLE, node.table.address), (desk.CALLS, mail.calls), (desk.WAYS, mail.address),
                            (desk.LETTER, self._letter.ctypes.data), (desk.NODES, self._nodes.ctypes.data), (desk.SENT, self._sent.ctypes.data),
                            (desk.SERVED, self._served.ctypes.data), (desk.COME, self._come.ctypes.data), (desk.KNOCKS, mail.knocks.ctypes.data),
                            (desk.HEARD_KNOCKS, mail.heard.ctypes.data), (desk.NODE, node.number), (desk.WAY_COUNT, mail.count),
                            (desk.RANKS, len(mail.heard)), (desk.BUSY, busy_ns), (desk.LONGEST, longest_ns),
                            (desk.ACTIVE_AT, atomics.now_ns()), (desk.FOR_PYTHON, -1), (desk.SLOW, not self.is_quick), (desk.HELD, 1),
                            (desk.HOLDER, self.holder), (desk.NOTES, notes.address)):
            self._words[place // 8] = word
        self._driver = np.zeros(asking.DRIVER_WORDS, np.int64)
        if self.is_quick:
            self._driver[:] = (address_of(quick.turn_of_other, "the kernel of turns"), self.address, node.address + lane_offset,
                               address_of(news.tell_of_other, "the kernel of news"))
        desk.rows_format(self.address)

    def turn(self, is_calm):
        """Run the kernel: once, or for a while where nothing waits in Python, `is_calm`. Its bits."""
        until = atomics.now_ns() + _TURNS_NS if is_calm else 0
        return quick.turns(self.address, until)

    def touch(self):
        """Something was done: no naps for a while."""
        atomics.store(self.address + desk.ACTIVE_AT, atomics.now_ns())

    def rest(self):
        """Many bytes are on their way, which who receives them may be moving alone: until something crosses, no polling, and no short naps either. The core is
        of more use to them, and the system brings no other thread to a core that is idle for moments only. Any thread."""
        atomics.store(self.address + desk.ACTIVE_AT, atomics.now_ns() - _AS_QUIET_NS)

    def pause(self):
        """Let others have the core, and take turns."""
        quick.pause(self.address)

    def serve_inline(self, context, lane, shorts):
        """See `Postman.serve_inline`."""
        self._shorts = shorts
        if self.is_quick:
            run = address_of(run_inline, "the kernel of short tasks")
            for place, word in ((desk.RUN, run), (desk.CONTEXT, context), (desk.RUN_LANE, lane), (desk.SHORTS, shorts.ctypes.data)):
                self._words[place // 8] = word

    @property
    def driver(self):
        """The address of the driver, or 0."""
        return self._driver.ctypes.data if self.is_quick else 0

    def slow(self, is_slow):
        """Say whether something waits in Python that no plain task may overtake."""
        self._words[desk.SLOW // 8] = is_slow or not self.is_quick

    def task(self):
        """A task of this node for Python, or -1; once."""
        return self._swapped(desk.FOR_PYTHON, -1)

    def letters(self):
        """[(node, box)] with a letter for Python; once."""
        found = np.flatnonzero(self._come).tolist()
        self._come[:] = 0
        return [self._names[number] for number in found]

    def note(self):
        """A note for Python, a list of words, or None; once."""
        return self._notes.take() if self._swapped(desk.NOTE_LEFT, 0) else None

    def finished(self):
        """Offsets of the records of Python's tasks that are done, the first one first; once."""
        offset, found = self._swapped(desk.LEFT, 0), []
        while offset:
            found.append(offset)
            offset = atomics.load(self._base + offset + tasks.LINK)
        return reversed(found)

    def ring(self):
        """Have the kernel come back. Any thread."""
        atomics.store(self.address + desk.RINGING, 1)

    def rung(self):
        """Before Python looks at what it was rung for."""
        atomics.store(self.address + desk.RINGING, 0)

    # other nodes

    def flying(self, node):
        """Plain tasks that a node has of this one."""
        return int(self._nodes[node, desk.FLYING // 8])

    def heard_at(self, node):
        """When the kernel has heard of a node: seconds of the monotonic clock."""
        return self._nodes[node, desk.HEARD // 8] / 1e9

    def set_lost(self, node, is_lost):
        """A silent node gets no plain tasks, and Python takes its letters."""
        self._nodes[node, desk.LOST // 8] = is_lost

    def end_all(self, node, code):
        """End the plain tasks that a node has."""
        for number, other in self._sent[:, [desk.NUMBER // 8, desk.OTHER // 8]].tolist():
            if number and other == node:
                self.end(number, code, ())

    def end(self, number, code, values):
        """The end of the task that went with this number."""
        desk.sent_end(self.address, number, code, *(*values, 0, 0, 0, 0)[:4])

    def late(self, node, now_ns):
        """Numbers of the plain tasks that a node has, whose deadline is over."""
        rows = self._sent
        numbers, dues = rows[:, desk.NUMBER // 8], rows[:, desk.DUE // 8]
        return numbers[(numbers != 0) & (rows[:, desk.OTHER // 8] == node) & (dues != 0) & (dues < now_ns)].tolist()

    def sent(self, offset):
        """(node, number) of the plain task with this record, or None."""
        for row in self._sent.tolist():
            if row[desk.NUMBER // 8] and row[desk.OFFSET // 8] == offset:
                return row[desk.OTHER // 8], row[desk.NUMBER // 8]
        return None

    def served(self, node, number):
        """Offset of the record of a node's task that is served, or None."""
        for row in self._served.tolist():
            if row[desk.NUMBER // 8] == number and row[desk.OTHER // 8] == node:
                return row[desk.OFFSET // 8]
        return None

    def _swapped(self, place, word):
        found = int(self._words[place // 8])
        self._words[place // 8] = word
        return found
