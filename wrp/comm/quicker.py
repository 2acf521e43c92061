"""Which of two ways many bytes of another node come quicker, by what each took. Moves nothing."""

from collections import defaultdict

SENT, GOT = 0, 1                # by its first rank when it is asked, or by a one-sided get of this one
_TRIED = 3                      # times each way before one is chosen: what is done first takes longer
_AGAIN = 256                    # the other one is tried once in so many
_SHARE = 0.25                   # of the last time in what a way is known to take


class Quicker:
    """What is known of each node, in this process. Threads that come at once may lose each other's note, no more."""

    def __init__(self):
        self._known = defaultdict(lambda: [[0, 0.0], [0, 0.0]])         # {node: [times, seconds for a byte] of each way}

    def way(self, node):
        """SENT or GOT: for the next bytes of a node."""
        sent, got = self._known[node]
        if min(sent[0], got[0]) < _TRIED:
            return SENT if sent[0] <= got[0] else GOT
        quicker = SENT if sent[1] <= got[1] else GOT
        return quicker if (sent[0] + got[0]) % _AGAIN else 1 - quicker

    def took(self, node, way, nbytes, seconds):
        """What has just come that way."""
        known = self._known[node][way]
        pace = seconds / nbytes
        known[1] = min(pace, known[1]) if 0 < known[0] < _TRIED else pace if not known[0] else known[1] + _SHARE * (pace - known[1])
        known[0] += 1
