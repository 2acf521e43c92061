"""Far: letters to other nodes and their answers, and which nodes are silent. Runs no task."""

import logging
import time
from collections import deque

from wrp.comm.mailbox import REPLIES, TASKS
from wrp.runtime.future import NET_TIMEOUT
from wrp.runtime.postman.work import CANCEL, PING, PONG, REPLY, RING
from wrp.runtime.tasks import CANCELLED, DEADLINE

_TICK_S = 0.02
_PING_PART = 0.2                # of the least time limit: when a silent node is asked whether it lives
_GRACE_NS = 50_000_000          # the other node ends a task at its deadline, unless it is silent
_log = logging.getLogger("wrp.runtime")


class Far:
    """`mail`: Mailboxes; `plain`: Plain; `host(node)`: a node's name; `net_timeout_s`: for tasks that have none of their own."""

    def __init__(self, mail, plain, host, net_timeout_s):
        self._mail, self._plain, self._host, self._net_timeout_s = mail, plain, host, net_timeout_s
        self._numbers, self._tick_at = 0, 0.0
        self._peers = {node: _Peer() for node in mail.nodes}

    def start(self, node, work, done):
        """Send `work` to the node; `done(code, values)` when its answer comes, or it is too late: a Sent."""
        self._numbers += 1
        peer, sent = self._peers[node], Sent(self, node, self._numbers, work, done)
        if peer.is_lost and work.skips:
            sent.end(NET_TIMEOUT, ())
            return sent
        if not peer.sent and not self._plain.flying(node):
            peer.heard_at = time.monotonic()
        peer.sent[sent.number] = sent
        self._post(node, TASKS, sent)
        return sent

    def answer(self, node, number, code, values):
        """Send the results of a task that came from the node."""
        self._post(node, REPLIES, (REPLY, number, code, *values))

    def pong(self, node):
        """Tell a node that this one lives."""
        self._post(node, REPLIES, (PONG, 0))

    def ring(self, node):
        """Send a word that means nothing else."""
        self._post(node, TASKS, (RING, 0))

    def tell_all(self, letter):
        """Send the letter to every node that isn't silent."""
        for node, peer in self._peers.items():
            if not peer.is_lost:
                self._post(node, TASKS, letter)

    def hear(self, node):
        """A letter has come from the node."""
        peer = self._peers[node]
        peer.heard_at = time.monotonic()
        if peer.is_lost:
            peer.is_lost = False
            self._plain.set_lost(node, False)
            _log.warning("node %d on %s answers again", node, self._host(node))

    def take(self, node, words):
        """A letter of the box of replies."""
        if words[0] == REPLY and words[1] < 0:
            self._plain.end(words[1], words[2], words[3:7])
        elif words[0] == REPLY:
            sent = self._peers[node].sent.pop(words[1], None)
            if sent is not None:
                sent.end(words[2], tuple(words[3:7]))

    def cancel(self, sent):
        """Ask the other node to cancel a task; one that hasn't left yet ends at once."""
        if sent.is_over:
            return
        if not sent.has_left:
            self._end(sent, CANCELLED)
        else:
            self.cancel_number(sent.node, sent.number)

    def cancel_number(self, node, number):
        """Ask the other node to cancel the task that went with this number."""
        self._post(node, TASKS, (CANCEL, number))

    def turn(self):
        """Put what found no room into the boxes; look at clocks now and then. True if anything went."""
        worked = False
        for node, peer in self._peers.items():
            for box in (TASKS, REPLIES):
                queued = peer.queued[box]
                while queued and self._write(node, box, queued[0]):
                    queued.popleft()
                    worked = True
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + _TICK_S
            for node, peer in self._peers.items():
                if peer.sent or self._plain.flying(node):
                    self._tick(node, peer, now)
        return worked

    @property
    def is_calm(self):
        """True when no letter waits for room."""
        return not any(any(peer.queued) for peer in self._peers.values())

    def end_all(self):
        """The runtime is being closed."""
        for node, peer in self._peers.items():
            self._plain.end_all(node, CANCELLED)
            for sent in list(peer.sent.values()):
                self._end(sent, CANCELLED)

    def _post(self, node, box, letter):
        queued = self._peers[node].queued[box]
        if queued or not self._write(node, box, letter):
            queued.append(letter)

    def _write(self, node, box, letter):
        """True when the letter is in the ring, or of no use any more."""
        if not isinstance(letter, Sent):
            return self._mail.post(node, box, letter)
        if letter.is_over:
            return True
        letter.has_left = self._mail.post(node, box, letter.work.letter(letter.number))
        return letter.has_left

    def _tick(self, node, peer, now):
        silent_s, now_ns = now - max(peer.heard_at, self._plain.heard_at(node)), time.monotonic_ns()
        for sent in [sent for sent in peer.sent.values() if sent.work.due_ns and now_ns > sent.work.due_ns + _GRACE_NS]:
            self.cancel(sent)
            self._end(sent, DEADLINE)
        for number in self._plain.late(node, now_ns - _GRACE_NS):
            self.cancel_number(node, number)
            self._plain.end(number, DEADLINE, ())
        flying = self._plain.flying(node)
        if not peer.sent and not flying:
            return
        least_s = min([*map(self._limit_s, peer.sent.values()), *[self._net_timeout_s] * (flying > 0)])
        if silent_s >= _PING_PART * least_s and now >= peer.asked_at + _PING_PART * least_s:
            peer.asked_at = now
            self._mail.post(node, TASKS, (PING, 0))         # a full box asks as well
        if silent_s < least_s:
            return
        late = [sent for sent in peer.sent.values() if silent_s >= self._limit_s(sent)]
        flying = flying if silent_s >= self._net_timeout_s else 0
        peer.is_lost = True
        self._plain.set_lost(node, True)
        _log.warning("node %d on %s hasn't answered for %.3g s: %d tasks for it end with code %d; see that its first rank lives and isn't "
                     "stopped, and that the network between the nodes works", node, self._host(node), silent_s, len(late) + flying, NET_TIMEOUT)
        if flying:
            self._plain.end_all(node, NET_TIMEOUT)
        for sent in late:
            self._end(sent, NET_TIMEOUT)

    def _limit_s(self, sent):
        return sent.work.net_timeout_s or self._net_timeout_s

    def _end(self, sent, code):
        self._peers[sent.node].sent.pop(sent.number, None)
        sent.end(code, ())


class _Peer:
    """What is known of another node. `sent`: tasks whose answer is awaited; `queued`: letters that found no room, by box."""

    def __init__(self):
        self.sent, self.queued = {}, (deque(), deque())
        self.heard_at = self.asked_at = 0.0
        self.is_lost = False


class Sent:
    """A task that another node runs, or will."""

    def __init__(self, far, node, number, work, done):
        self._far, self._done = far, done
        self.node, self.number, self.work = node, number, work
        self.has_left = self.is_over = False

    def cancel(self):
        """See `Far.cancel`."""
        self._far.cancel(self)

    def end(self, code, values):
        """Its end, once."""
        if not self.is_over:
            self.is_over = True
            self._done(code, values)
