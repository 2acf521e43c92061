"""Files of this node that other nodes read: each goes as it grows, and its end when it is complete; by streams, or piece by piece in a thread.

In pieces goes what may still change after it was written, because of which a checksum of what was sent is kept, and everything where there are no streams.
"""

import os
import threading
from dataclasses import dataclass, field

from wrp.capio.nodes.links import PIECE
from wrp.capio.nodes.streaming import Outgoing
from wrp.comm.checksum import crc32


@dataclass
class Sending:
    """A file on its way to a node. `name`: the node's; `size`: its bytes once it is complete; `sums`: {offset: (bytes, checksum)} of what was sent
    while it may still change; `is_begun`: the stream has told that it has nothing yet; `is_told`: its end has gone into a stream,
    and it stays until that is confirmed."""

    number: int
    path: str
    name: str
    node: int
    file: int
    keeps_sums: bool
    is_streamed: bool
    sent: int = 0
    size: int | None = None
    sums: dict = field(default_factory=dict)
    is_checked: bool = False
    is_begun: bool = False
    is_told: bool = False


class Sender:
    """Sends over `links`. All methods but the thread's own return at once. `unread(path, node, error)` is told, in the thread, of what can't be read here."""

    def __init__(self, links, unread):
        self._links, self._unread, self._all, self._last = links, unread, [], 0
        self.whole = {}                 # number of a sending: os.stat_result of its file when that was complete
        self._ways, self._lost_ways = {}, set()         # {node: Outgoing}; nodes where streams don't lead, or not any more
        self._lock, self._more, self._is_ending = threading.Lock(), links.slot_is_free, False
        self._thread = threading.Thread(target=self._run, name="capio-sender", daemon=True)
        self._thread.start()

    def begin(self, path, name, node, may_change):
        """Send a file to a node, where it is called `name`; returns the number of the sending. `may_change`: what is written may be changed until the file is
        complete, and is looked at again then. Raises OSError."""
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with self._lock:
            self._last += 1
            sending = Sending(self._last, path, name, node, file, may_change, not may_change and self._leads(node))
            self._announce(sending)
            self._all.append(sending)
        self._ring()
        return sending.number

    def _announce(self, sending):
        self._links.send(sending.node, "begin", sending.number, sending.name, os.fstat(sending.file).st_mode & 0o777, sending.is_streamed)

    def _leads(self, node):
        """True when there is a stream to the node, as far as one knows."""
        if self._links.streams is None or node in self._lost_ways:
            return False
        if node not in self._ways:
            self._ways[node] = Outgoing(node, self, self._links.streams)
        return True

    def _ring(self):
        self._more.set()
        for way in self._ways.values():
            way.ring()

    def grown(self):
        """Some file has more."""
        self._ring()

    def completed(self, path):
        """The file is complete."""
        with self._lock:
            for sending in self._all:
                if sending.path == path:
                    self.whole[sending.number] = os.fstat(sending.file)
                    sending.size = self.whole[sending.number].st_size
        self._ring()

    def renamed(self, source, path, name):
        with self._lock:
            for sending in self._all:
                if sending.path == source:
                    sending.path, sending.name = path, name

    def confirmed(self, number):
        """All that went into a stream with this number has come out."""
        with self._lock:
            at = next((at for at, sending in enumerate(self._all) if sending.number == number and sending.is_streamed), None)
            if at is not None:
                os.close(self._all.pop(at).file)

    def lost(self, node):
        """Nothing goes to this node any more."""
        with self._lock:
            self._lost_ways.add(node)
            gone = [sending for sending in self._all if sending.node == node]
            self._all = [sending for sending in self._all if sending.node != node]
        if node in self._ways:
            self._ways[node].hang_up()
        for sending in gone:
            os.close(sending.file)

    # the threads of streams

    def streamed(self, node):
        """What has to go to this node by a stream."""
        with self._lock:
            return [sending for sending in self._all if sending.node == node and sending.is_streamed and not sending.is_told]

    def falls_back(self, node):
        """There is no stream to this node, or none any more: what isn't known to have arrived begins again, in pieces."""
        with self._lock:
            self._lost_ways.add(node)
            for sending in self._all:
                if sending.node == node and sending.is_streamed:
                    sending.sent, sending.is_streamed, sending.is_told = 0, False, False
                    self._announce(sending)
        self._more.set()

    # the thread of pieces

    def _run(self):
        while not self._is_ending:
            self._more.wait()
            self._more.clear()
            moved = True
            while moved and not self._is_ending:
                moved = False
                with self._lock:
                    round_ = [sending for sending in self._all if not sending.is_streamed]
                for sending in round_:
                    moved |= self._step(sending)

    def _step(self, sending):
        """Send one piece, or the end; True when something could be done."""
        try:
            there = os.fstat(sending.file).st_size
            if there < sending.sent:
                sending.sent, sending.sums = 0, {}
            if there > sending.sent:
                return self._piece(sending, sending.sent)
            if sending.size is None:
                return False
            if sending.keeps_sums and not sending.is_checked:
                return self._check(sending)
            self._end(sending)
        except OSError as error:
            self._give_up(sending, error)
            return False
        return True

    def _give_up(self, sending, error):
        with self._lock:
            if sending not in self._all:
                return                  # lost meanwhile
            self._all.remove(sending)
            os.close(sending.file)
        self._unread(sending.path, sending.node, error)

    def _end(self, sending):
        """All of it is sent, unless it has changed this moment."""
        with self._lock:
            if sending in self._all and os.fstat(sending.file).st_size == sending.sent:
                self._links.send(sending.node, "whole", sending.number, sending.sent)
                self._all.remove(sending)
                os.close(sending.file)

    def _piece(self, sending, offset):
        lent = self._links.lend()
        if lent is None:
            return False
        slot, room = lent
        try:
            nbytes = os.preadv(sending.file, [room], offset)
        except OSError:
            self._links.unlend(slot)
            raise
        if sending.keeps_sums and sending.size is None:
            sending.sums[offset] = nbytes, crc32(room[:nbytes])
        if nbytes:
            self._links.send(sending.node, "piece", slot, nbytes, sending.number, offset)
            sending.sent = max(sending.sent, offset + nbytes)
        else:
            self._links.unlend(slot)
        return bool(nbytes)

    def _check(self, sending):
        """What was sent before the file was complete goes again where it has changed since."""
        room = bytearray(PIECE)
        for offset, (nbytes, checksum) in list(sending.sums.items()):
            found = os.preadv(sending.file, [memoryview(room)[:nbytes]], offset)
            if crc32(memoryview(room)[:found]) != checksum and not self._piece(sending, offset):
                return False            # again, when a slot is free
            del sending.sums[offset]
        sending.is_checked = True
        return True

    def close(self):
        self._is_ending = True
        self._more.set()
        self._thread.join()
        for way in self._ways.values():
            way.close()
        for sending in self._all:
            os.close(sending.file)
        self._all = []
