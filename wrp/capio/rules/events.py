"""What happens in a running workflow, as the rules are told of it: one frozen record for each kind, and its JSON form. No logic.

Every event carries `at`, seconds on whatever clock the caller keeps; the rules have none. Paths are absolute and normalised. A `waiter`, a
`process` and a `description` (an open file description) are names chosen by the caller, ints or texts, unique over the run and its nodes.
"""

import dataclasses
from dataclasses import dataclass

_frozen = dataclass(slots=True, unsafe_hash=True)          # by agreement: a frozen dataclass takes four times as long to make, and a file needs five


@_frozen
class StepStarted:
    """A launcher has begun one of the `parts` of a step; the step lasts until all of them have ended and all its processes have left."""

    step: str
    parts: int = 1
    at: float = 0.0


@_frozen
class StepEnded:
    """A launcher's part of a step has ended: with an exit code, by a signal, or (both None) nobody knows how."""

    step: str
    code: int | None = None
    signal: int | None = None
    at: float = 0.0


@_frozen
class ProcessJoined:
    """A process of a step is there. `parent`: the process that forked it, where that one has joined too."""

    step: str
    process: int | str
    parent: int | str | None = None
    at: float = 0.0


@_frozen
class ProcessLeft:
    """A process has ended; its waiters are forgotten. What it had open is told apart, by `Closed`, before this."""

    process: int | str
    code: int | None = None
    signal: int | None = None
    at: float = 0.0


@_frozen
class Created:
    """A file or a directory has come into being, made by `step` ("": by nobody of the workflow). It is an entry of its folder."""

    path: str
    step: str = ""
    is_directory: bool = False
    node: int = 0
    at: float = 0.0


@_frozen
class Opened:
    """A description was opened for writing. `is_truncated`: the open emptied the file."""

    path: str
    step: str
    description: int | str
    is_truncated: bool = False
    node: int = 0
    at: float = 0.0


@_frozen
class Closed:
    """The last descriptor of a description is closed. `is_lost`: because its process was killed, not because it closed or exited."""

    description: int | str
    is_lost: bool = False
    at: float = 0.0


@_frozen
class Grown:
    """The file holds at least `nbytes` bytes from its start (a smaller number than before changes nothing)."""

    path: str
    nbytes: int
    at: float = 0.0


@_frozen
class Truncated:
    """The file was cut or stretched to `nbytes` bytes."""

    path: str
    nbytes: int
    at: float = 0.0


@_frozen
class Renamed:
    """`source` is called `path` now; an old `path` is gone. Also for a name that was linked to a file nobody told of (`source` then is "").
    `nbytes`: the file's size, which nobody may have told before."""

    source: str
    path: str
    step: str = ""
    nbytes: int = 0
    node: int = 0
    at: float = 0.0


@_frozen
class Removed:
    """The name is gone."""

    path: str
    at: float = 0.0


@_frozen
class EntryAppeared:
    """A directory holds an entry of this name, seen by other means than `Created` or `Renamed`; twice is once."""

    path: str
    name: str
    at: float = 0.0


@_frozen
class Arrived:
    """The copy of a file on `node` holds its first `nbytes` bytes; the answer to `Fetch`, again and again."""

    path: str
    node: int
    nbytes: int
    at: float = 0.0


@_frozen
class CopyLost:
    """The bytes of a file can't come to `node` any more."""

    path: str
    node: int
    reason: str
    at: float = 0.0


@_frozen
class WantOpen:
    """A process wants to open a file or a directory for reading. `found`: what is there now, "file", "directory" or "" (nothing).
    `threads`: how many its process has, to notice when all of them wait."""

    waiter: int | str
    step: str
    path: str
    found: str = ""
    process: int | str | None = None
    node: int = 0
    threads: int = 1
    at: float = 0.0


@_frozen
class WantStat:
    """A process wants stat, access or the like: what would wait in open waits here too."""

    waiter: int | str
    step: str
    path: str
    found: str = ""
    process: int | str | None = None
    node: int = 0
    threads: int = 1
    at: float = 0.0


@_frozen
class WantBytes:
    """A process wants to read up to byte `upto` (offset + count, or offset + 1 for whatever is there) of a file it has opened."""

    waiter: int | str
    step: str
    path: str
    upto: int = 1
    process: int | str | None = None
    node: int = 0
    threads: int = 1
    at: float = 0.0


@_frozen
class WantEntries:
    """A process lists a directory and has seen all of its first `upto - 1` entries."""

    waiter: int | str
    step: str
    path: str
    upto: int = 1
    process: int | str | None = None
    node: int = 0
    threads: int = 1
    at: float = 0.0


@_frozen
class Cancelled:
    """A waiter has given up (a signal, a dead thread); no answer is wanted."""

    waiter: int | str
    at: float = 0.0


@_frozen
class Stalled:
    """The caller has looked: no process of the step runs, all of them sleep behind their waiters. Holds until the step does anything."""

    step: str
    at: float = 0.0


@_frozen
class Clock:
    """Time has passed; waits beyond their deadline end."""

    at: float = 0.0


@_frozen
class WorkflowEnded:
    """Nothing more will come: every waiter is answered, and what isn't permanent goes."""

    at: float = 0.0


KINDS = {kind.__name__: kind for kind in (
    StepStarted, StepEnded, ProcessJoined, ProcessLeft, Created, Opened, Closed, Grown, Truncated, Renamed, Removed, EntryAppeared, Arrived,
    CopyLost, WantOpen, WantStat, WantBytes, WantEntries, Cancelled, Stalled, Clock, WorkflowEnded)}


def to_record(event):
    """The event as a JSON value: its kind and its fields."""
    return [type(event).__name__, {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}]


def from_record(record):
    """The event that `to_record` made this of."""
    kind, fields = record
    return KINDS[kind](**fields)
