"""Files of this node that other nodes read: a thread sends each, piece by piece, as it grows, and its end when it is complete."""

import os
import threading
from dataclasses import dataclass, field

from wrp.capio.nodes.links import PIECE
from wrp.comm.checksum import crc32


@dataclass
class Sending:
    """A file on its way to a node. `size`: its bytes once it is complete; `sums`: {offset: (bytes, checksum)} of what was sent while it may
    still change."""

    number: int
    path: str
    node: int
    file: int
    keeps_sums: bool
    sent: int = 0
    size: int | None = None
    sums: dict = field(default_factory=dict)
    is_checked: bool = False


class Sender:
    """Sends over `links`. All methods but the thread's own return at once."""

    def __init__(self, links):
        self._links, self._all, self._last = links, [], 0
        self.whole = {}                 # number of a sending: os.stat_result of its file when that was complete
        self._lock, self._more, self._is_ending = threading.Lock(), links.slot_is_free, False
        self._thread = threading.Thread(target=self._run, name="capio-sender", daemon=True)
        self._thread.start()

    def begin(self, path, name, node, is_updated, size=None):
        """Send a file to a node, where it is called `name`; returns the number of the sending. `is_updated`: what is written may be changed until the file is
        complete. Raises OSError."""
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._last += 1
        self._links.send(node, "begin", self._last, name, os.fstat(file).st_mode & 0o777)
        with self._lock:
            self._all.append(Sending(self._last, path, node, file, is_updated, size=size))
        self._more.set()
        return self._last

    def grown(self):
        """Some file has more."""
        self._more.set()

    def completed(self, path):
        """The file is complete."""
        with self._lock:
            for sending in self._all:
                if sending.path == path:
                    self.whole[sending.number] = os.fstat(sending.file)
                    sending.size = self.whole[sending.number].st_size
        self._more.set()

    def renamed(self, source, path):
        with self._lock:
            for sending in self._all:
                if sending.path == source:
                    sending.path = path

    def lost(self, node):
        """Nothing goes to this node any more."""
        with self._lock:
            gone = [sending for sending in self._all if sending.node == node]
            self._all = [sending for sending in self._all if sending.node != node]
        for sending in gone:
            os.close(sending.file)

    def paths(self):
        """Paths of what is on its way."""
        with self._lock:
            return {sending.path for sending in self._all}

    def _run(self):
        while not self._is_ending:
            self._more.wait()
            self._more.clear()
            moved = True
            while moved and not self._is_ending:
                moved = False
                with self._lock:
                    round_ = list(self._all)
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
        except OSError:
            return False                # lost meanwhile
        with self._lock:
            if sending.sent < sending.size:
                return True             # it was completed once more, meanwhile
            self._links.send(sending.node, "whole", sending.number, sending.sent)
            if sending in self._all:
                self._all.remove(sending)
                os.close(sending.file)
        return True

    def _piece(self, sending, offset):
        lent = self._links.lend()
        if lent is None:
            return False
        slot, room = lent
        nbytes = os.preadv(sending.file, [room], offset)
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
        for sending in self._all:
            os.close(sending.file)
        self._all = []
