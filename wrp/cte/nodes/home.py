"""Home: the module that answers questions of other nodes about names whose home is here. What it can be asked is in answering.py."""

import logging
import time
from contextlib import suppress

from wrp.cte.nodes.answering import SLOW
from wrp.cte.nodes.wire import PORTION, WITHDRAWN, answer_of, decode, error_of
from wrp.errors import OutOfSpace, WrpError
from wrp.runtime import modules
from wrp.runtime.waiting import Cancelled, in_thread, sleep

ASK, MORE, HERE, READ = 10, 11, 12, 13
SMALL = 64 << 10                # bytes of a question or an answer whose memory stays its channel's, while there is plenty
NO_ROOM = -1                    # in place of an answer's bytes: the call was made, and there was no memory for what it gave
MODULE = "wrp_cte_home"
_NAP_S = 0.5e-3
_log = logging.getLogger("wrp.cte")


class Home:
    """calls: {name: function}; limit_s: how long the node that asks may be silent while its question is fetched; away: what calls have freed of other nodes.

    One thread answers, one question after the other; what may take long goes to another thread. No call waits for another home in the one that answers,
    and none that others wait for so does at all, so that two homes never wait for each other.
    """

    methods = {ASK: "ask", MORE: "more", HERE: "here", READ: "read"}

    def __init__(self, pool_name, mail, calls, away, limit_s):
        self._mail, self._calls, self._away, self._limit_s = mail, calls, away, limit_s
        self._answers = {}

    async def ask(self, channel, offset, nbytes):
        """Fetch a question and answer it: (offset of the answer in the segment, bytes of it there, bytes of all or NO_ROOM, its number, below 0 where its memory is wanted back)."""
        question = bytearray(nbytes)
        self._mail.remote.get(channel >> 48, offset, question, self._limit_s)
        if question.startswith(WITHDRAWN):
            return 0, 0, 0, 0           # nobody waits for the answer
        call, *args = decode(question)
        try:
            if call in SLOW:
                value = await in_thread(self._calls[call], *args)
            else:
                value = self._calls[call](*args)
            if self._away and call not in ("give_back", "take_back"):
                await in_thread(self._calls["send_away"])
            answer = answer_of(value)
        except Cancelled:
            raise
        except Exception as error:
            if not isinstance(error, WrpError):
                _log.exception("call %s of another node failed", call)
            answer = error_of(error)
        kept = self._answers.setdefault(channel, _Answer(self._mail))
        kept.lay(answer)
        until = time.monotonic() + self._limit_s
        while True:
            try:
                return kept.show(0)
            except OutOfSpace:              # of answers that others are just fetching
                if time.monotonic() >= until:
                    return 0, 0, NO_ROOM, 0
            await sleep(_NAP_S)

    def here(self):
        """The node answers."""
        return 0

    def more(self, channel, start):
        """The same of what follows from byte `start` of the channel's answer."""
        return self._answers[channel].show(start)

    def read(self, channel, number):
        """A channel's answer of this number was fetched."""
        with suppress(WrpError):            # a store that is closed has none any more
            self._answers[channel].forget(number)
        return 0


class _Answer:
    """The last answer of a channel, and the memory in which a portion of it lies."""

    def __init__(self, mail):
        self._mail, self._place, self._capacity = mail, None, 0
        self.data, self._number, self._is_wanted = b"", 0, False

    def lay(self, data):
        """The channel's next answer."""
        self.data, self._number = data, self._number + 1

    def forget(self, number):
        """Give the memory of a long answer back, or of one that is wanted back, unless the next one is there already."""
        if number == self._number and (self._capacity > SMALL or self._is_wanted):
            before, self._capacity = self._capacity, 0
            self._mail.give_back(self._place, before)

    def show(self, start):
        data = self.data
        part = data[start:start + PORTION]
        if len(part) > self._capacity:
            if self._capacity:
                self._mail.give_back(self._place, self._capacity)
            self._capacity = 0
            capacity = max(1 << 12, 1 << (len(part) - 1).bit_length())
            self._place, self._capacity = self._mail.lease(capacity), capacity
        if not start:
            self._is_wanted = self._mail.is_short
        self._mail.view(self._place, len(part))[:] = part
        if start + len(part) == len(data):
            self.data = b""
        return self._mail.at + self._place, len(part), len(data), -self._number if self._is_wanted else self._number


modules.register(MODULE, Home)
