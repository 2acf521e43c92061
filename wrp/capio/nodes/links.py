"""What the servers of a job send each other: messages in order, and pieces of files, or streams for these where TCP is what MPI has too.

One thread makes all calls of MPI between the collective steps. Knows no rule and no file. Pieces are sent and received, not got by one-sided calls: between
nodes joined by TCP that was four times as fast, and most of all where both sides sleep a little between their looks (840 MB/s; 210 with Rget, 130 without sleep).
"""

import os
import threading
import time
from collections import deque

import numpy as np

from wrp.comm.messages import Messages
from wrp.comm.pieces import Pieces
from wrp.comm.streams import Streams, has_fabric

PIECE = 4 << 20
SLOTS = 8                       # pieces that wait in this node's memory to be received
_BUFFERS = 4                    # pieces that are being received at once
_NAP_S = 30e-6                  # between two looks while pieces move
_SHORTEST_NAP_S, _LONGEST_NAP_S = 50e-6, 1e-3        # otherwise: a quarter of the time since something moved,
_QUIET_NAP_S = 20e-3                                 # and when nothing has for long a part in 400 of it: a look takes 40 to 80 us
_ALIVE_S = 1.0


class Links:
    """Made and closed by all servers together (collective).

    inbox : deque of (node, message) for the server's loop, which `bell`, an eventfd, wakes
    transport : "auto": bytes of files go by streams, unless a node has a fabric that MPI knows to use; "tcp": always; "mpi" (on any node): never
    streams : Streams, or None
    is_shared : all nodes have one CAPIO_DIR; set by who knows
    on_piece : called with (node, message, array) in the links' thread when a piece has come, and, without an array, when all pieces of a file
        have; gives the array back with `give_back`
    """

    def __init__(self, ranks, silent_s, transport="auto"):
        self.node, self.nodes, self._ranks, self.silent_s = ranks.rank, ranks.size, ranks, silent_s
        self.inbox, self.bell = deque(), os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.on_piece, self.is_silent, self.is_out, self.is_shared = None, set(), False, False
        self._hosts = ranks.gather(ranks.host, "names of the servers' hosts")
        self._messages, self._moving = Messages(ranks), Pieces(ranks)
        wanted = ranks.gather(("mpi" if has_fabric() else "tcp") if transport == "auto" else transport, "how bytes of files go")
        self.streams = Streams(ranks, silent_s) if "mpi" not in wanted else None
        if self.streams is not None and not self.streams.are_everywhere:
            self.streams.close()
            self.streams = None
        self._out, self._pieces, self._getting, self._sending = deque(), deque(), [], []
        self._slots = [np.empty(PIECE, np.uint8) for _ in range(SLOTS)]
        self._free = deque(range(SLOTS))
        self._buffers = deque(np.empty(PIECE, np.uint8) for _ in range(_BUFFERS))
        self._heard = dict.fromkeys(set(range(self.nodes)) - {self.node}, time.monotonic())
        self._more, self._is_ending, self._kept, self._over = threading.Event(), False, [], set()
        self.slot_is_free = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capio-links", daemon=True)
        self._thread.start()

    def host(self, node):
        return self._hosts[node]

    def others(self):
        """The nodes that are there besides this one."""
        return [node for node in self._heard if node not in self.is_silent]

    # any thread

    def send(self, node, *message):
        """Send a message, a list that JSON can say; messages to one node come in their order."""
        self._out.append((node, message))
        self._more.set()

    def tell_all(self, *message):
        for node in self.others():
            self.send(node, *message)

    def lend(self):
        """(number, array) of a slot for a piece, or None while all wait to be taken."""
        try:
            number = self._free.popleft()
        except IndexError:
            return None
        return number, self._slots[number]

    def unlend(self, number):
        self._free.append(number)
        self.slot_is_free.set()

    def give_back(self, buffer):
        self._buffers.append(buffer)
        self._more.set()

    # the thread

    def _run(self):
        last = beat = time.monotonic()
        while not self._is_over():
            moved = self._post() | self._take() | self._get() | self._put()
            now = time.monotonic()
            if now - beat > _ALIVE_S:
                beat = now
                self._beat(now)
            if moved:
                last = now
            elif self._getting or self._sending:
                last = now
                time.sleep(_NAP_S)
            else:
                self._more.wait(_LONGEST_NAP_S if self._is_ending else _nap_s(now - last))
                self._more.clear()

    def _is_over(self):
        """True when this node is to end, what it has sent has arrived, and the others that aren't silent are as far: its end may be that of the job."""
        if not self._is_ending or self._out:
            return False
        if self.is_silent:              # what was sent to it may never arrive
            return self._over.issuperset(self.others()) and (self._messages.are_sent() or time.monotonic() > self._ends_by)
        return self._messages.are_sent() and not self._sending and self._moving.all_are_here()

    def _beat(self, now):
        self.tell_all("alive")
        for node, heard in self._heard.items():
            if now - heard > self.silent_s and node not in self.is_silent:
                self.is_silent.add(node)
                self._give_up(node)
                self._deliver(node, ["silent"])

    def _give_up(self, node):
        """What is on its way to this node doesn't arrive: its memory stays MPI's."""
        for request, slot, to in self._sending:
            if to == node:
                self._slots[slot] = np.empty(PIECE, np.uint8)
                self._kept.append(request)
                self.unlend(slot)
        self._sending = [one for one in self._sending if one[2] != node]

    def _post(self):
        """All messages for a node that have gathered go as one. True when there were any but signs of life."""
        bundles = {}
        while self._out:
            node, message = self._out.popleft()
            bundles.setdefault(node, []).append(message)
        for node, bundle in bundles.items():
            if node in self.is_silent:          # it gets nothing but the word that it is out
                for message in bundle:
                    if message[0] == "piece":
                        self.unlend(message[1])
                bundle = [message for message in bundle if message[0] == "out"]
            if not bundle:
                continue
            self._messages.send(node, bundle)
            for message in bundle:
                if message[0] == "piece":       # in the order of the messages, in which they are received
                    slot, nbytes = message[1:3]
                    self._sending.append((self._moving.send(node, self._slots[slot][:nbytes]), slot, node))
        return any(map(_says_more, bundles.values()))

    def _put(self):
        """Give back the slots of pieces that have been received."""
        done = [one for one in self._sending if one[0].Test()]
        for one in done:
            self._sending.remove(one)
            self.unlend(one[1])
        return bool(done)

    def _take(self):
        found = self._messages.take()
        if found is None:
            return False
        node, bundle = found
        self._heard[node] = time.monotonic()
        if node in self.is_silent:
            self.send(node, "out")      # it was given up meanwhile
            return True
        for message in bundle:
            if message[0] in ("piece", "whole"):
                self._pieces.append((node, message))
            elif message[0] == "over":
                self._over.add(node)
            elif message[0] != "alive":
                self._deliver(node, message)
        return _says_more(bundle)

    def _deliver(self, node, message):
        self.inbox.append((node, message))
        os.eventfd_write(self.bell, 1)

    def _get(self):
        """Begin to receive pieces, and hand on those that have come, in their order. At the end nobody wants them."""
        while self._pieces and (self._buffers or self._is_ending or self._pieces[0][1][0] == "whole"):
            node, message = self._pieces.popleft()
            if message[0] == "whole":
                self._getting.append((None, node, message, None))
                continue
            buffer = self._buffers.popleft() if self._buffers else np.empty(PIECE, np.uint8)
            self._getting.append((self._moving.receive(node, buffer[:message[2]]), node, message, buffer))
        moved = False
        while self._getting and (self._getting[0][0] is None or self._getting[0][0].Test()):
            _, node, message, buffer = self._getting.pop(0)
            if not self._is_ending:
                self.on_piece(node, message, buffer)
            moved = True
        return moved

    def close(self):
        """Collective, but for nodes that are silent: what was sent arrives first, and the others come here too."""
        self.tell_all("over")
        self._ends_by, self._is_ending = time.monotonic() + self.silent_s, True
        self._more.set()
        self._thread.join()
        if self.streams is not None:
            self.streams.close()
        os.close(self.bell)
        if not self.is_silent:
            self._messages.free()
            self._moving.free()


def _says_more(bundle):
    """True unless it only says that its node is alive."""
    return any(message[0] != "alive" for message in bundle)


def _nap_s(quiet_s):
    """How long to sleep when nothing has moved for so long."""
    return max(_SHORTEST_NAP_S, min(_LONGEST_NAP_S, quiet_s / 4), min(_QUIET_NAP_S, quiet_s / 400))
