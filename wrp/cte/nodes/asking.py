"""Asking: questions of this rank to the homes on other nodes. What they mean is in answering.py, who answers in home.py.

A question lies in this node's memory; its task says where, and the home fetches it. The answer lies in the home's memory until the next
question of the same channel; whoever asked fetches it. So nobody writes into the memory of another node.
"""

import time
from collections import deque
from contextlib import suppress
from itertools import count

from wrp.comm.refusals import let_out
from wrp.cte.nodes.home import ASK, HERE, MORE, NO_ROOM, READ, SMALL
from wrp.cte.nodes.wire import PORTION, WITHDRAWN, question_of, value_of
from wrp.errors import OutOfSpace, WaitTimeout, WrpError
from wrp.runtime.future import NET_TIMEOUT
from wrp.runtime.pythonworker import EXCEPTION
from wrp.runtime.routing import PoolQuery

_LEAST, _NAP_S = 4 << 10, 0.5e-3


class Asking:
    """pool: of the homes; mail: where questions lie (see mail.py); limit_s: networking.net_timeout. Any thread."""

    def __init__(self, ranks, pool, mail, limit_s):
        self._ranks, self._mail, self._pool, self._limit_s = ranks, mail, pool, limit_s
        self._pools = [pool.towards(PoolQuery.direct_id(node)) for node in range(ranks.nodes)]
        self._idle, self._numbers = [], count(1)
        self._forsaken = deque()            # (channel, Future) of questions that nobody waits for any more

    def ask(self, node, call, *args):
        """The value of `call` (see Answering) at a home on another node; raises what it raised there. Local.

        Raises WaitTimeout when the node doesn't answer within networking.net_timeout: whether the call was made isn't known. OutOfSpace when this node has no memory
        for the question so long.
        """
        return self.begun(node, call, *args).answer()

    def begun(self, node, call, *args):
        """A Question, once there is memory for it, which others have: at the deadline what `begin` raises. For who has none under way: all might wait for each other."""
        until = time.monotonic() + self._limit_s
        while True:
            try:
                return self.begin(node, call, *args)
            except OutOfSpace as error:
                let_out(error)
                if time.monotonic() >= until:
                    raise
            time.sleep(_NAP_S)

    def begin(self, node, call, *args):
        """The same under way: a Question."""
        data = question_of(call, args)
        channel, is_free = self._channel(len(data)), True
        try:
            channel.write(data)
            is_free = False
            return Question(self, node, channel, self.send(node, ASK, channel.ident, channel.at, len(data)))
        except BaseException as error:
            if not is_free:
                let_out(error)                                  # of a signal's handler: it may have left, and the home looks at the channel
            if is_free or isinstance(error, WrpError):          # it hasn't left
                self.done(channel)
            raise

    def send(self, node, method, *args):
        return self._pools[node].submit(method, *args)

    def is_there(self, node):
        """False for a node that is silent; one that the postman knows to be so costs no wait."""
        return self._pool.call(HERE, query=PoolQuery.direct_id(node, 0)).code == 0

    def fetch(self, node, offset, out):
        self._mail.remote.get(node, offset, out)

    def silent(self, node):
        """What is raised for a node that doesn't answer."""
        return WaitTimeout(f"rank {self._ranks.rank} waited for node {node} on {self._mail.remote.host(node)}, the home of what it asked for, which "
                           "hasn't answered for longer than networking.net_timeout: see that its first rank lives; whether the call was made isn't known")

    def full(self, node):
        """What is raised for a node without memory for an answer."""
        return WaitTimeout(f"rank {self._ranks.rank} waited {self._limit_s:g} s (networking.net_timeout) for node {node} on {self._mail.remote.host(node)}, which has made the call and had "
                           "no room for its answer: others haven't fetched theirs; have fewer ranks or threads ask at once, and see that all of them live")

    def done(self, channel):
        channel.shrink()
        self._idle.append(channel)

    def read(self, node, channel, number, nbytes):
        """An answer was fetched: the home has the memory of a long one back, or of any that it wants back."""
        if nbytes > SMALL or number < 0:
            with suppress(WrpError):            # else with the next question
                self._pools[node].post(READ, channel.ident, abs(number))

    def forsake(self, channel, future):
        """Nobody waits for a question: its channel is good again once the home has answered."""
        self._forsaken.append((channel, future))

    def _answered(self):
        """Channels of forsaken questions that were answered meanwhile, or can't be, are idle."""
        for _ in range(len(self._forsaken)):
            try:
                channel, future = self._forsaken.popleft()
            except IndexError:              # another thread looks, too
                break
            if future.reply is None and future.offset is not None and not future.is_done:
                self.forsake(channel, future)
            elif (future.reply is not None or future.offset is not None) and future.wait().code in (0, EXCEPTION):
                self.done(channel)

    def _channel(self, nbytes):
        """A Channel that takes so many bytes and that nobody uses."""
        if self._forsaken:
            self._answered()
        try:
            channel = self._idle.pop()
        except IndexError:
            # the node, its rank, and which one, told in one step: no other channel of the job has this number, whatever threads want one at once
            channel = _Channel(self._mail, self._ranks.node << 48 | self._ranks.local_rank << 24 | next(self._numbers))
        try:
            channel.make_room(nbytes)
        except BaseException:
            self.done(channel)
            raise
        return channel


class _Channel:
    """A place for one question after the other."""

    def __init__(self, mail, ident):
        self._mail, self.ident = mail, ident
        self._place, self._capacity = None, 0

    def make_room(self, nbytes):
        if nbytes > self._capacity:
            before, self._capacity = self._capacity, 0
            if before:
                self._mail.give_back(self._place, before)
            capacity = max(_LEAST, 1 << (nbytes - 1).bit_length())
            self._place, self._capacity = self._mail.lease(capacity), capacity

    def shrink(self):
        """Others of the node may need the memory of a long question, or of any."""
        if self._capacity > SMALL or self._capacity and self._mail.is_short:
            before, self._capacity = self._capacity, 0
            self._mail.give_back(self._place, before)

    @property
    def at(self):
        """Offset in the node's segment."""
        return self._mail.at + self._place

    def write(self, data):
        self._mail.view(self._place, len(data))[:] = data

    def withdraw(self):
        """Whoever fetches the question from now on does nothing."""
        self.write(WITHDRAWN)


class Question:
    """A question under way; `answer` is called once."""

    def __init__(self, asking, node, channel, future):
        self._asking, self._node, self._channel, self._future = asking, node, channel, future

    def answer(self):
        """See Asking.ask. After a wait that ended without an answer the channel isn't used again before there is one: the home may still look at it."""
        offset, nbytes, total, number = self._values()
        if total == NO_ROOM:
            raise self._asking.full(self._node)
        data = bytearray(total)
        view = memoryview(data)
        self._asking.fetch(self._node, offset, view[:nbytes])
        for start in range(nbytes, total, PORTION):
            self._future = None         # where a signal's handler raises behind the push the home has the channel in hand: it isn't used again
            self._future = self._asking.send(self._node, MORE, self._channel.ident, start)
            offset, nbytes, *_ = self._values()
            self._asking.fetch(self._node, offset, view[start:start + nbytes])
        channel, self._channel, self._future = self._channel, None, None
        self._asking.read(self._node, channel, number, total)
        self._asking.done(channel)
        return value_of(data)

    @property
    def is_answered(self):
        """True when `answer` wouldn't wait for the home."""
        return self._future.is_done

    def answered(self, unless):
        """Wait for the home: True once it has answered, False where `unless()` is True before that. Raises as `answer` does."""
        return self._future.wait(unless=unless) is not None

    def withdraw(self):
        """After a wait that ended without an answer: a home that hears of the question from now on does nothing. Without effect once there is one."""
        if self._channel is not None:
            self._channel.withdraw()

    def __del__(self):
        if getattr(self, "_future", None) is not None:
            self._asking.forsake(self._channel, self._future)

    def _values(self):
        reply = self._future.wait()
        if reply.code == NET_TIMEOUT:
            raise self._asking.silent(self._node)
        if reply.code:
            raise WrpError(f"node {self._node} couldn't answer: code {reply.code}, {reply.meaning or 'see the messages of its first rank'}")
        return reply.values
