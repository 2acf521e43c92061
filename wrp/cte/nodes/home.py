"""Home: the module that answers questions of other nodes about names whose home is here. What it can be asked is in answering.py."""

import logging

from wrp.cte.nodes.answering import SLOW
from wrp.cte.nodes.wire import PORTION, WITHDRAWN, answer_of, decode, error_of
from wrp.errors import WrpError
from wrp.runtime import modules
from wrp.runtime.waiting import Cancelled, in_thread

ASK, MORE, HERE = 10, 11, 12
MODULE = "wrp_cte_home"
_log = logging.getLogger("wrp.cte")


class Home:
    """calls: {name: function}; limit_s: how long the node that asks may be silent while its question is fetched; away: what calls have freed of other nodes.

    One thread answers, one question after the other; what may take long goes to another thread. No call waits for another home in the one that answers,
    and none that others wait for so does at all, so that two homes never wait for each other.
    """

    methods = {ASK: "ask", MORE: "more", HERE: "here"}

    def __init__(self, pool_name, mail, calls, away, limit_s):
        self._mail, self._calls, self._away, self._limit_s = mail, calls, away, limit_s
        self._answers = {}

    async def ask(self, channel, offset, nbytes):
        """Fetch a question and answer it: (offset of the answer in the segment, bytes of it there, bytes of all)."""
        question = bytearray(nbytes)
        self._mail.remote.get(channel >> 48, offset, question, self._limit_s)
        if question.startswith(WITHDRAWN):
            return 0, 0, 0              # nobody waits for the answer
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
        kept.data = answer
        return kept.show(0)

    def here(self):
        """The node answers."""
        return 0

    def more(self, channel, start):
        """The same of what follows from byte `start` of the channel's answer."""
        return self._answers[channel].show(start)


class _Answer:
    """The last answer of a channel, and the memory in which a portion of it lies."""

    def __init__(self, mail):
        self._mail, self._place, self._capacity = mail, None, 0
        self.data = b""

    def show(self, start):
        data = self.data
        part = data[start:start + PORTION]
        if len(part) > self._capacity:
            if self._capacity:
                self._mail.give_back(self._place, self._capacity)
            self._capacity = 0
            capacity = max(1 << 12, 1 << (len(part) - 1).bit_length())
            self._place, self._capacity = self._mail.lease(capacity), capacity
        self._mail.view(self._place, len(part))[:] = part
        if start + len(part) == len(data):
            self.data = b""
        return self._mail.at + self._place, len(part), len(data)


modules.register(MODULE, Home)
