"""The reference's `default`: small tasks on the first worker, input and output in turn on the others, groups on one worker."""

from wrp.runtime.schedulers.contract import SMALL_NBYTES, Came, whole


class Default:
    """The reference keeps its last worker for the network; where a node has none for that, all but the first take turns."""

    def __init__(self, workers):
        self._workers, self._turn, self._groups = workers, 0, {}

    def on(self, event):
        """See `contract`."""
        if not isinstance(event, Came):
            return ()
        worker = self._groups.get(event.group)
        if worker is None:
            worker = self._next() if event.nbytes >= SMALL_NBYTES and self._workers > 1 else 0
            if event.group >= 0:
                self._groups[event.group] = worker
        return whole(event, worker)

    def _next(self):
        worker = 1 + self._turn
        self._turn = (self._turn + 1) % (self._workers - 1)
        return worker
