"""How far a job is, told on one rank: a line that is redrawn on a terminal, a few plain lines in a file."""

import threading
import time

from wrp.cae.url import shown
from wrp.comm.ranks.streams import discard
from wrp.comm.sizes import format_size

_REDRAW_S = 0.2
_LINE_S = 10.0
_LINE_SHARE = 0.1
_STARTING_S = 2.0


class Silent:
    """Tells nothing; the other kinds override what they tell."""

    def begin(self, transfer):
        """A transfer starts."""

    def note(self, sentence):
        """Something the user should know about the current transfer."""

    def advance(self, done, total):
        """`done` of this rank's `total` blobs of the current transfer are in."""

    def finish(self, result):
        """The current transfer is in the store."""

    def close(self):
        """Nothing follows; also after an error."""


class Plain(Silent):
    """Whole lines: one per finished transfer, one for a transfer that takes longer than 2 s when it does, and at most one per 10 s and
    per tenth of a transfer in between.

    A stream that can't be written any more is left alone: a job doesn't end because nobody listens.
    """

    def __init__(self, stream, clock=time.monotonic, timer=threading.Timer):
        self._stream, self._clock, self._timer = stream, clock, timer
        self._label, self._told_at, self._told = "", 0.0, 0.0
        self._starting, self._is_writing = None, threading.Lock()

    def begin(self, transfer):
        self.close()
        self._label = f"{transfer.label}: {shown(transfer.src)} -> {transfer.dst}"
        self._told_at, self._told = self._clock(), 0.0
        # a thread of its own: looking at a source, or reading one blob, may take minutes
        self._starting = self._timer(_STARTING_S, self._line, [f"{self._label}: starting"])
        self._starting.daemon = True
        self._starting.start()

    def note(self, sentence):
        self._line(f"note: {sentence}")

    def advance(self, done, total):
        share = done / total
        if share < 1 and share - self._told >= _LINE_SHARE and self._clock() - self._told_at >= _LINE_S:
            self._told_at, self._told = self._clock(), share
            self._line(f"{self._label}: {share:.0%}")

    def finish(self, result):
        self.close()
        self._line(f"{self._label}: done, {format_size(result.nbytes)} in {result.seconds:.2f} s")

    def close(self):
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            starting.join()

    def _line(self, text):
        self._write(text + "\n")

    def _write(self, text):
        with self._is_writing:
            if self._stream is None:
                return
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                discard(self._stream)
                self._stream = None


class Redrawn(Plain):
    """One line on a terminal, redrawn at most five times a second."""

    def begin(self, transfer):
        self._label = f"{transfer.label}: {shown(transfer.src)} -> {transfer.dst}"
        self._told_at = self._clock()
        self._draw(f"{self._label}: looking at the source")

    def advance(self, done, total):
        if self._clock() - self._told_at >= _REDRAW_S:
            self._told_at = self._clock()
            self._draw(f"{self._label}: {done / total:.0%}")

    def close(self):
        self._draw("")

    def _line(self, text):
        self._draw(text + "\n")

    def _draw(self, text):
        # back to the start of the line, and clear what was there
        self._write("\r\x1b[K" + text)


def progress(ranks, stream, is_quiet=False):
    """What tells how far this rank's job is: only rank 0 tells, and it doesn't when `is_quiet`."""
    if ranks.rank or is_quiet:
        return Silent()
    return Redrawn(stream) if stream.isatty() else Plain(stream)
