"""The contract of schedulers: an event in, actions out.

A scheduler is an object made for a number of workers, with one method ``on(event) -> tuple of Part``. It is a pure state
machine: the same events give the same actions, so a log of events is a test. A `Came` is answered by the parts in which the
task is to be run, in order and without gaps, one part for most; a `Done` by nothing.
"""

from typing import NamedTuple

SMALL_NBYTES = 4096         # below this a task is metadata, not I/O


class Came(NamedTuple):
    """A task was submitted.

    nbytes : bytes it moves, 0 for metadata
    group : tasks of one group (0 or more) stay on one worker; -1: none
    client : says which thread of which process submits it
    worker : the worker that submits it, -1: a client does
    can_split : parts of its bytes may be moved by several workers
    """

    pool: int
    method: int
    nbytes: int = 0
    group: int = -1
    client: int = 0
    worker: int = -1
    can_split: bool = False


class Done(NamedTuple):
    """A part is done: of `nbytes` on `worker`, after `ns` nanoseconds since it was submitted, -1: nobody knows."""

    pool: int
    method: int
    nbytes: int
    worker: int
    ns: int


class Part(NamedTuple):
    """Run these bytes of the task, `nbytes` from `first`, on `worker`."""

    worker: int
    first: int
    nbytes: int


def whole(event, worker):
    """The task in one part."""
    return (Part(worker, 0, event.nbytes),)
