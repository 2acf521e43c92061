"""The reference's `local`: a client's tasks go to the worker that its hash says, a worker's tasks stay on it."""

from wrp.runtime.schedulers.contract import Came, whole

_GOLDEN = 0x9E3779B97F4A7C15        # spreads neighbouring ids


class Local:
    """Keeps no state."""

    def __init__(self, workers):
        self._workers = workers

    def on(self, event):
        """See `contract`."""
        if not isinstance(event, Came):
            return ()
        if event.worker >= 0:
            return whole(event, event.worker)
        spread = event.client * _GOLDEN & (1 << 64) - 1
        return whole(event, (spread >> 32) % self._workers)
