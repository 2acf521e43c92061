"""How far a job is, told on one rank: a line that is redrawn on a terminal, a few plain lines in a file."""

import time

from wrp.comm.sizes import format_size

_REDRAW_S = 0.2
_LINE_S = 10.0
_LINE_SHARE = 0.1


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
    """Whole lines: one per finished transfer, and at most one per 10 s and per tenth of a transfer in between."""

    def __init__(self, stream, clock=time.monotonic):
        self._stream, self._clock = stream, clock
        self._label, self._told_at, self._told = "", 0.0, 0.0

    def begin(self, transfer):
        self._label = f"{transfer.label}: {transfer.src} -> {transfer.dst}"
        self._told_at, self._told = self._clock(), 0.0

    def note(self, sentence):
        self._line(f"note: {sentence}")

    def advance(self, done, total):
        share = done / total
        if share < 1 and share - self._told >= _LINE_SHARE and self._clock() - self._told_at >= _LINE_S:
            self._told_at, self._told = self._clock(), share
            self._line(f"{self._label}: {share:.0%}")

    def finish(self, result):
        self._line(f"{self._label}: done, {format_size(result.nbytes)} in {result.seconds:.2f} s")

    def _line(self, text):
        self._stream.write(text + "\n")
        self._stream.flush()


class Redrawn(Plain):
    """One line on a terminal, redrawn at most five times a second."""

    def begin(self, transfer):
        super().begin(transfer)
        self._draw(f"{self._label}: looking at the source")

    def advance(self, done, total):
        if self._clock() - self._told_at >= _REDRAW_S:
            self._told_at = self._clock()
            self._draw(f"{self._label}: {done / total:.0%}")

    def close(self):
        self._draw("")

    def _line(self, text):
        self._draw(text)
        self._stream.write("\n")
        self._stream.flush()

    def _draw(self, text):
        # back to the start of the line, and clear what was there
        self._stream.write("\r\x1b[K" + text)
        self._stream.flush()


def progress(ranks, stream, is_quiet=False):
    """What tells how far this rank's job is: only rank 0 tells, and it doesn't when `is_quiet`."""
    if ranks.rank or is_quiet:
        return Silent()
    return Redrawn(stream) if stream.isatty() else Plain(stream)
