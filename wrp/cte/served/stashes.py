"""Stashes: what is too long for one piece of memory, and travels in several: kept by the daemon until it is complete, or who it is for has gone."""

from itertools import count

from wrp.runtime.daemon import processes


class Stash:
    """`view`: the bytes; `owner`: identity of the attached process; `abandon()` where nobody wants them."""

    def __init__(self, owner, view, reservation=None):
        self.owner, self.view, self.reservation = owner, view, reservation

    def abandon(self):
        if self.reservation is not None:
            self.reservation.abandon()
        self.view = self.reservation = None


class Stashes:
    """Those of a rank, by number. Any thread."""

    def __init__(self):
        self._kept, self._numbers = {}, count(1)

    def __len__(self):
        return len(self._kept)

    def keep(self, stash):
        """Its number."""
        number = next(self._numbers)
        self._kept[number] = stash
        return number

    def of(self, number):
        """The Stash of a number. KeyError."""
        return self._kept[number]

    def take(self, number):
        """The same, which isn't kept any more; None when it wasn't."""
        return self._kept.pop(number, None)

    def sweep(self):
        """Let go of those whose owners have died."""
        for number, stash in list(self._kept.items()):
            if not processes.lives(stash.owner) and self.take(number) is not None:
                stash.abandon()

    def clear(self):
        for number in list(self._kept):
            stash = self.take(number)
            if stash is not None:
                stash.abandon()
