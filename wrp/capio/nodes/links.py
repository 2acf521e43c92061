"""What the servers of a job send each other: messages in order, and pieces of files that the receiver gets out of the sender's memory.

One thread makes all calls of MPI between the collective steps. Knows no rule and no file.
"""

import os
import threading
import time
from collections import deque

import numpy as np

from wrp.comm.messages import Messages
from wrp.comm.remote import RemoteWindow
from wrp.comm.segment import Segment

PIECE = 4 << 20
SLOTS = 8                       # pieces that wait in this node's memory to be taken
_BUFFERS = 4                    # pieces that are being taken at once
_LONGEST_NAP_S = 1e-3
_ALIVE_S = 1.0


class Links:
    """Made and closed by all servers together (collective).

    inbox : deque of (node, message) for the server's loop, which `bell`, an eventfd, wakes
    on_piece : called with (node, message, array) in the links' thread when a piece has come, and, without an array, when all pieces of a file
        have; gives the array back with `give_back`
    """

    def __init__(self, ranks, silent_s):
        self.node, self.nodes, self._ranks, self._silent_s = ranks.rank, ranks.size, ranks, silent_s
        self.inbox, self.bell = deque(), os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.on_piece, self.is_silent, self.is_out = None, set(), False
        self._segment = Segment.private((SLOTS + 1) * PIECE)
        self._first, _ = self._segment.place("pieces", SLOTS * PIECE, 4096)
        self._firsts = ranks.gather(self._first, "where pieces lie")
        self._window, self._messages = RemoteWindow(ranks, self._segment), Messages(ranks)
        self._out, self._pieces, self._getting = deque(), deque(), []
        self._free = deque(range(SLOTS))
        self._buffers = deque(np.empty(PIECE, np.uint8) for _ in range(_BUFFERS))
        self._heard = dict.fromkeys(set(range(self.nodes)) - {self.node}, time.monotonic())
        self._more, self._is_ending = threading.Event(), False
        self.slot_is_free = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capio-links", daemon=True)
        self._thread.start()

    def host(self, node):
        return self._window.host(node)

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
        return number, np.frombuffer(self._segment.buffer, np.uint8, PIECE, self._first + number * PIECE)

    def unlend(self, number):
        self._free.append(number)
        self.slot_is_free.set()

    def give_back(self, buffer):
        self._buffers.append(buffer)
        self._more.set()

    # the thread

    def _run(self):
        last = beat = time.monotonic()
        while not (self._is_ending and not self._out and self._messages.are_sent()):
            moved = self._post() | self._take() | self._get()
            now = time.monotonic()
            if now - beat > _ALIVE_S:
                beat = now
                self._beat(now)
            if moved or self._getting or len(self._free) < SLOTS:
                last = now
                os.sched_yield()
            else:
                self._more.wait(min(_LONGEST_NAP_S, (now - last) / 8))
                self._more.clear()

    def _beat(self, now):
        self.tell_all("alive")
        for node, heard in self._heard.items():
            if now - heard > self._silent_s and node not in self.is_silent:
                self.is_silent.add(node)
                self._deliver(node, ["silent"])

    def _post(self):
        """All messages for a node that have gathered go as one."""
        bundles = {}
        while self._out:
            node, message = self._out.popleft()
            bundles.setdefault(node, []).append(message)
        for node, bundle in bundles.items():
            self._messages.send(node, bundle)
        return bool(bundles)

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
            elif message[0] == "taken":
                self.unlend(message[1])
            elif message[0] != "alive":
                self._deliver(node, message)
        return True

    def _deliver(self, node, message):
        self.inbox.append((node, message))
        os.eventfd_write(self.bell, 1)

    def _get(self):
        """Begin to take pieces, and hand on those that have come, in their order."""
        while self._pieces and (self._buffers or self._pieces[0][1][0] == "whole"):
            node, message = self._pieces.popleft()
            if message[0] == "whole":
                self._getting.append((None, node, message, None))
                continue
            buffer, (slot, nbytes) = self._buffers.popleft(), message[1:3]
            request = self._window.start_get(node, self._firsts[node] + slot * PIECE, buffer[:nbytes])
            self._getting.append((request, node, message, buffer))
        moved = False
        while self._getting and (self._getting[0][0] is None or self._window.is_done(self._getting[0][0])):
            request, node, message, buffer = self._getting.pop(0)
            if request is not None:
                self._out.append((node, ("taken", message[1])))
            self.on_piece(node, message, buffer)
            moved = True
        return moved

    def close(self):
        """Collective: what was sent arrives first. Local where a node is silent."""
        self._is_ending = True
        self._more.set()
        self._thread.join()
        os.close(self.bell)
        if not self.is_silent:
            self._messages.free()
            self._window.close()
            self._segment.close()
