"""Nodes: what the first ranks of a daemon's nodes tell each other: that one stops, and which pools to make. Makes no pool itself."""

import time

from wrp.comm.messages import Messages

_STOP = {"do": "stop"}
_CLOSE_S = 20.0
_NAP_S = 0.0005


class Nodes:
    """Making and closing it is collective over `leaders`. ring(node) wakes the one who looks there."""

    def __init__(self, leaders, ring):
        self._messages = Messages(leaders) if leaders is not None and leaders.size > 1 else None
        self._ring, self._stopping, self._has_told = ring, set(), False

    @property
    def others(self):
        """Numbers of the other nodes."""
        messages = self._messages
        return () if messages is None else [node for node in range(messages.size) if node != messages.rank]

    def send(self, node, message):
        """Send a dictionary that JSON can say. Local."""
        self._messages.send(node, message)
        self._ring(node)

    def tell_stop(self):
        """Tell the others that this node stops, once. Local."""
        if not self._has_told:
            self._has_told = True
            for node in self.others:
                self.send(node, _STOP)

    def take(self):
        """[(node, message)] of what has come. Local, cheap."""
        found = []
        while self._messages is not None:
            letter = self._messages.take()
            if letter is None:
                break
            if letter[1] == _STOP:
                self._stopping.add(letter[0])
            found.append(letter)
        return found

    @property
    def any_stops(self):
        """True when another node has said that it stops."""
        return bool(self._stopping)

    def close(self):
        """Take what is on its way: every node tells every other one. One that doesn't is left behind."""
        if self._messages is None:
            return
        self.tell_stop()
        until = time.monotonic() + _CLOSE_S
        while len(self._stopping) < len(self.others) or not self._messages.are_sent():
            if time.monotonic() >= until:
                return
            self.take()
            time.sleep(_NAP_S)
        self._messages.free()
        self._messages = None
