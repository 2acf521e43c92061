"""`cost`: each task where it is expected to end first, by what tasks of its kind have taken; large ones split over workers."""

from wrp.runtime.schedulers.contract import SMALL_NBYTES, Came, Part, whole

_RATE = 0.2             # weight of a new measurement
_START_NS = 2000.0      # of a task of which nothing is known, and per byte:
_START_NS_PER_BYTE = 0.2
_ALIGN = 4096           # parts begin at multiples of this
_LEAST_PART = 64 << 10


class _Kind:
    """What tasks of one method take: a fixed part and one per byte, in ns."""

    def __init__(self):
        self.fixed, self.per_byte = _START_NS, _START_NS_PER_BYTE

    def expected(self, nbytes):
        return self.fixed + self.per_byte * nbytes

    def learn(self, nbytes, ns):
        if nbytes < SMALL_NBYTES:
            self.fixed += _RATE * (ns - self.fixed)
        else:
            self.per_byte += _RATE * (max(0.0, ns - self.fixed) / nbytes - self.per_byte)


class Cost:
    """Learns from parts that were alone on their worker: what waited behind others says nothing about the work."""

    def __init__(self, workers):
        self._load = [0.0] * workers            # ns of work that is expected to be left
        self._count = [0] * workers             # parts under way
        self._alone = [False] * workers         # the one part under way has had the worker for itself
        self._groups, self._kinds = {}, {}

    def on(self, event):
        """See `contract`."""
        if isinstance(event, Came):
            return self._placed(event)
        self._note(event)
        return ()

    def _placed(self, event):
        kind = self._kinds.setdefault((event.pool, event.method), _Kind())
        if event.group in self._groups:
            parts = whole(event, self._groups[event.group])
        elif event.can_split and event.group < 0 and event.nbytes >= 2 * _LEAST_PART:
            parts = self._split(event.nbytes, kind)
        else:
            parts = whole(event, self._load.index(min(self._load)))
        if event.group >= 0:
            self._groups[event.group] = parts[0].worker
        for part in parts:
            self._alone[part.worker] = self._count[part.worker] == 0
            self._count[part.worker] += 1
            self._load[part.worker] += kind.expected(part.nbytes)
        return parts

    def _split(self, nbytes, kind):
        """Parts that end at about the same time, on as many workers as make that time earlier."""
        order = sorted(range(len(self._load)), key=self._load.__getitem__)
        per_byte = max(kind.per_byte, 1e-6)
        best = None
        for count in range(1, min(len(order), nbytes // _LEAST_PART) + 1):
            chosen = order[:count]
            # all end at `end`: the sum of (end - load - fixed) / per_byte over the workers is the bytes
            end = (nbytes * per_byte + sum(self._load[worker] + kind.fixed for worker in chosen)) / count
            if best is not None and (end >= best[0] or self._load[chosen[-1]] + kind.fixed >= end):
                break
            best = end, chosen
        end, chosen = best
        shares = [(worker, max(0.0, end - self._load[worker] - kind.fixed) / per_byte) for worker in chosen]
        return _parts(shares, nbytes)

    def _note(self, event):
        worker, kind = event.worker, self._kinds.setdefault((event.pool, event.method), _Kind())
        self._load[worker] = max(0.0, self._load[worker] - kind.expected(event.nbytes))
        self._count[worker] = max(0, self._count[worker] - 1)
        if self._alone[worker] and event.ns >= 0:
            kind.learn(event.nbytes, event.ns)
        self._alone[worker] = False
        if self._count[worker] == 0:
            self._load[worker] = 0.0            # what the expectation got wrong doesn't add up


def _parts(shares, nbytes):
    """Cut at multiples of _ALIGN, about as the shares say; parts too small to be worth it go to the one before."""
    parts, first, total = [], 0, 0.0
    for number, (worker, share) in enumerate(shares):
        total += share
        end = nbytes if number == len(shares) - 1 else min(nbytes, int(total) // _ALIGN * _ALIGN)
        if end - first >= _LEAST_PART or end == nbytes and end > first:
            parts.append(Part(worker, first, end - first))
            first = end
    return tuple(parts)
