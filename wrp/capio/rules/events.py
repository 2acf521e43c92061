"""What happens in a running workflow, as the rules are told of it: one frozen record for each kind, and its JSON form. No logic.

Every event carries `at`, by its name, seconds on whatever clock the caller keeps; the rules have none. Paths are absolute and normalised. A `waiter`, a
`process` and a `description` (an open file description) are names chosen by the caller, ints or texts, unique over the run and its nodes.
"""

import dataclasses
from dataclasses import KW_ONLY, dataclass

_record = dataclass(slots=True, unsafe_hash=True)           # frozen by agreement: a frozen dataclass takes four times as long to make


@_record
class _Event:
    _: KW_ONLY
    at: float = 0.0


@_record
class StepStarted(_Event):
    """A launcher has begun one of the `parts` of a step; the step lasts until all of them have ended and all its processes have left."""

    step: str
    parts: int = 1


@_record
class StepEnded(_Event):
    """A launcher's part of a step has ended: with an exit code, by a signal, or (both None) nobody knows how."""

    step: str
    code: int | None = None
    signal: int | None = None


@_record
class ProcessJoined(_Event):
    """A process of a step is there. `parent`: the process that forked it, where that one has joined too."""

    step: str
    process: int | str
    parent: int | str | None = None


@_record
class ProcessLeft(_Event):
    """A process has ended; its waiters are forgotten. What it had open is told apart, by `Closed`, before this."""

    process: int | str
    code: int | None = None
    signal: int | None = None


@_record
class Created(_Event):
    """A file or a directory has come into being, made by `step` ("": by nobody of the workflow). It is an entry of its folder."""

    path: str
    step: str = ""
    is_directory: bool = False
    node: int = 0


@_record
class Opened(_Event):
    """A description was opened for writing. `is_truncated`: the open emptied the file."""

    path: str
    step: str
    description: int | str
    is_truncated: bool = False
    node: int = 0


@_record
class Closed(_Event):
    """The last descriptor of a description is closed. `is_lost`: because its process was killed, not because it closed or exited."""

    description: int | str
    is_lost: bool = False


@_record
class Written(_Event):
    """A new file was made, written through one description and closed, all of it since the last event: what `Created`, `Opened`, `Grown` and `Closed`
    would tell one after the other."""

    path: str
    step: str
    nbytes: int
    node: int = 0


@_record
class Grown(_Event):
    """The file holds at least `nbytes` bytes from its start (a smaller number than before changes nothing)."""

    path: str
    nbytes: int


@_record
class Truncated(_Event):
    """The file was cut or stretched to `nbytes` bytes."""

    path: str
    nbytes: int


@_record
class Renamed(_Event):
    """`source` is called `path` now; an old `path` is gone. Also for a name that was linked to a file nobody told of (`source` then is "").
    `nbytes`: the file's size, which nobody may have told before."""

    source: str
    path: str
    step: str = ""
    nbytes: int = 0
    node: int = 0


@_record
class Removed(_Event):
    """The name is gone."""

    path: str


@_record
class EntryAppeared(_Event):
    """A directory holds an entry of this name, seen by other means than `Created` or `Renamed`; twice is once."""

    path: str
    name: str


@_record
class Arrived(_Event):
    """The copy of a file on `node` holds its first `nbytes` bytes; the answer to `Fetch`, again and again."""

    path: str
    node: int
    nbytes: int


@_record
class Housed(_Event):
    """The home of a file is this node: its bytes come there whether anybody reads them there or not."""

    path: str
    node: int


@_record
class CopyLost(_Event):
    """The bytes of a file can't come to `node` any more."""

    path: str
    node: int
    reason: str


@_record
class _Want(_Event):
    """What all that may have to wait say. `threads`: how many the process has, to notice when all of them wait."""

    waiter: int | str
    step: str
    path: str
    _: KW_ONLY
    process: int | str | None = None
    node: int = 0
    threads: int = 1


@_record
class WantOpen(_Want):
    """A process wants to open a file or a directory for reading. `found`: what is there now, "file", "directory" or "" (nothing)."""

    found: str = ""


@_record
class WantStat(_Want):
    """A process wants stat, access or the like: what would wait in open waits here too."""

    found: str = ""


@_record
class WantBytes(_Want):
    """A process wants to read up to byte `upto` (offset + count, or offset + 1 for whatever is there) of a file it has opened."""

    upto: int = 1


@_record
class WantEntries(_Want):
    """A process lists a directory and has seen all of its first `upto - 1` entries."""

    upto: int = 1


@_record
class Cancelled(_Event):
    """A waiter has given up (a signal, a dead thread); no answer is wanted."""

    waiter: int | str


@_record
class Stalled(_Event):
    """The caller has looked: no process of the step runs, all of them sleep behind their waiters. Holds until the step does anything."""

    step: str


@_record
class Clock(_Event):
    """Time has passed; waits beyond their deadline end."""


@_record
class WorkflowEnded(_Event):
    """Nothing more will come: every waiter is answered, and what isn't permanent goes."""


KINDS = {kind.__name__: kind for kind in (
    StepStarted, StepEnded, ProcessJoined, ProcessLeft, Created, Opened, Closed, Written, Grown, Truncated, Renamed, Removed, EntryAppeared, Arrived,
    Housed, CopyLost, WantOpen, WantStat, WantBytes, WantEntries, Cancelled, Stalled, Clock, WorkflowEnded)}


def to_record(event):
    """The event as a JSON value: its kind and its fields."""
    return [type(event).__name__, {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}]


def from_record(record):
    """The event that `to_record` made this of."""
    kind, fields = record
    return KINDS[kind](**fields)
