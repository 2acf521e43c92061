"""Pace: how fast the targets of a rank have been since the last sample, from what it wrote, synced and read there. It asks no device."""

_LEAST_NBYTES = 1 << 20         # fewer say nothing
_WRITTEN, _WRITING, _READ, _READING = range(4)


class Pace:
    """Bytes and ns by target. Threads may lose each other's counts: a sample is an estimate."""

    def __init__(self):
        self._seen = {}

    def _of(self, target):
        found = self._seen.get(target)
        return found if found is not None else self._seen.setdefault(target, [0, 0, 0, 0])

    def wrote(self, target, nbytes, ns):
        """So many bytes, 0 for a sync, took so long."""
        counts = self._of(target)
        counts[_WRITTEN] += nbytes
        counts[_WRITING] += ns

    def read(self, target, nbytes, ns):
        counts = self._of(target)
        counts[_READ] += nbytes
        counts[_READING] += ns

    def sample(self):
        """{target: (MB/s writing, MB/s reading)} since the last sample, 0 where too little was moved; those of other targets aren't in it."""
        seen, self._seen = self._seen, {}
        found = {target: (_rate(counts[_WRITTEN], counts[_WRITING]), _rate(counts[_READ], counts[_READING])) for target, counts in seen.items()}
        return {target: rates for target, rates in found.items() if any(rates)}


def _rate(nbytes, ns):
    return nbytes * 1e3 / max(ns, 1) if nbytes >= _LEAST_NBYTES else 0.0
