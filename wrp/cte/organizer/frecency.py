"""`frecency`: how recently and how often a blob was used, in one score.

    score = 0.5 * 2 ** (-age / 600 s) + 0.5 * n / (n + 10)

age: since the last read or write; n: reads and writes so far. A blob is written when it is put, so it never counts as never used.
(The formula of the reference system, which hands the score to its placement; here it decides itself which blobs rise.)
"""

from wrp.cte.organizer.ranked import Ranked

_HALF_LIFE_S = 600.0
_SATURATION = 10


class Frecency(Ranked):
    """Moves at ticks only. A blob that was read once does not rise, so a scan moves nothing.

    score_threshold : blobs at or above this score rise
    score_difference_threshold : a blob takes the place of one whose score is lower by this, and moves again when its own
        score has changed by this
    """

    name = "frecency"

    def __init__(self, tiers, score_threshold=0.7, score_difference_threshold=0.05):
        super().__init__(tiers)
        self._rises, self._least = score_threshold, score_difference_threshold
        self._moved_at = {}             # the score with which a blob was moved last

    def heat(self, name, blob):
        """The score of now."""
        return frecency(self.now - blob.used, blob.count)

    def may_rise(self, name, blob):
        """Hot enough, and not moved with about the same score before."""
        if self.book.level(blob.target) == 0:
            return False
        heat = self.heat(name, blob)
        return heat >= self._rises and abs(heat - self._moved_at.get(name, -1.0)) >= self._least

    def displaces(self, name, other):
        """Only what is clearly colder goes."""
        return self._heat(name) - self._heat(other) >= self._least

    def score(self, name):
        """The score of now, rounded so that logs stay readable."""
        return round(self._heat(name), 4)

    def on(self, event):
        """See `contract`."""
        actions = super().on(event)
        for action in actions:
            if action.score is not None:
                self._moved_at[action.blob] = action.score
        if len(self._moved_at) > 2 * len(self.book.blobs) + 64:
            self._moved_at = {name: score for name, score in self._moved_at.items() if name in self.book.blobs}
        return actions


def frecency(age_s, count):
    """The score (0 to 1) of a blob used `count` times, the last time `age_s` seconds ago."""
    return 0.5 * 2.0 ** (-max(0.0, age_s) / _HALF_LIFE_S) + 0.5 * count / (count + _SATURATION)
