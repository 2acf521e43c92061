"""Tasks that wait: jitted ones by their steps, Python ones as coroutines; timers and locks that never hold a worker up."""

from wrp.runtime.waiting.coroutines import Cancelled, DeadlineOver, gather, in_thread, sleep
from wrp.runtime.waiting.locks import CoMutex, CoRwLock

__all__ = ["Cancelled", "CoMutex", "CoRwLock", "DeadlineOver", "gather", "in_thread", "sleep"]
