"""What the rules ask of whoever told them of an event: one frozen record for each kind. No logic."""

from dataclasses import dataclass

_frozen = dataclass(slots=True, unsafe_hash=True)          # by agreement, as events are


@_frozen
class Go:
    """Let the waiter go on. `size`: bytes (entries of a directory) it may take without asking again; `is_final`: it need never ask
    again about this file, whatever the plain call gives is the answer, end of file included."""

    waiter: int | str
    size: int = 0
    is_final: bool = True


@_frozen
class Refuse:
    """End the waiter's call with an errno; the sentence names the file, who should have written it and how that one ended."""

    waiter: int | str
    errno: int
    sentence: str


@_frozen
class Committed:
    """The file, or directory, is complete. Told once in its life."""

    path: str
    size: int = 0


@_frozen
class Fetch:
    """Bring the bytes of a file, as they are written, from the node that has them to a node where it is read; told once for each."""

    path: str
    home: int
    node: int


@_frozen
class Delete:
    """The run has ended and the file, made in it, isn't permanent: remove it on every node."""

    path: str


@_frozen
class Note:
    """Tell the user: nothing failed, but something will or may."""

    sentence: str
