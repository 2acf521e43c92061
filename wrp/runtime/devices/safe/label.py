"""The label of a member: which set it is of, where it stands there, and how the set was when it was written. Two copies: the last active one, the last other.

A copy is a line "wrp-safe FORMAT GENERATION NBYTES CRC", then JSON. The generation says which label of a set is the newest. Before anything is written for which
a member is missing, all others get a label that says so; and a label says `active` only when all of them have one of its generation. So a member whose label is older
than an active one was away while others were written, and is stale.
"""

import json
from dataclasses import asdict, dataclass, replace

from wrp.comm.checksum import crc32
from wrp.errors import StoreError, StoreVersion

FORMAT = 1
_COPY = 32 << 10
_HEAD = 64
NBYTES = 2 * _COPY


@dataclass(frozen=True)
class Label:
    """`position`: of the member among `paths`, of which those that were removed are ""; `out`: positions of members that have missed something;
    `groups`: (first row, positions of the data columns); `parity`: positions; `boot`: of the machine that has it open, "" when it was closed."""

    set: str
    position: int
    generation: int
    active: bool
    paths: tuple
    out: tuple
    groups: tuple
    parity: tuple
    capacity: int
    boot: str

    @property
    def gone(self):
        """Positions of members that were removed."""
        return tuple(position for position, path in enumerate(self.paths) if not path)

    def next(self, **changes):
        """As the next generation."""
        return replace(self, generation=self.generation + 1, **changes)


def check(label):
    """StoreError for one whose paths are too long for its place, whatever may come to be said of them."""
    text = _text(replace(label, generation=1 << 62, out=tuple(range(len(label.paths))), boot=36 * "-"))
    if len(text) > _COPY - _HEAD:
        raise StoreError(f"safe device: a label of {len(label.paths)} members with such long paths takes {len(text)} bytes, and may take {_COPY - _HEAD}: "
                         "give the members shorter paths")


def write(member, label):
    """Put a label in its place; a torn one leaves the other copy. OSError."""
    text = _text(label)
    head = b"wrp-safe %d %d %d %d" % (FORMAT, label.generation, len(text), crc32(text))
    member.write(label.active * _COPY, head.ljust(_HEAD, b"\0") + text)


def _text(label):
    return json.dumps(asdict(label)).encode()


def read(member):
    """The newest Label of a member, None where it has none. StoreVersion for one of another format; OSError."""
    found = [label for label in (_read(member, copy * _COPY) for copy in (0, 1)) if label is not None]
    return max(found, key=lambda label: (label.generation, label.active), default=None)


def generation(member):
    """The generation of the newest label, without reading all of it; 0 where there is none."""
    return max(int(head[2]) if head else 0 for head in (_head(member, 0), _head(member, _COPY)))


def _head(member, place):
    words = bytes(member.read_some(place, _HEAD)).rstrip(b"\0").split()
    return words if len(words) == 5 and words[0] == b"wrp-safe" and all(word.isdigit() for word in words[1:]) else None


def _read(member, place):
    head = _head(member, place)
    if head is None:
        return None
    number, nbytes, crc = int(head[1]), int(head[3]), int(head[4])
    if number != FORMAT:
        raise StoreVersion(f"{member.path} is a member of a safe device of format {number}, this wrp reads {FORMAT}: open it with the wrp that made it")
    text = bytes(member.read_some(place + _HEAD, min(nbytes, _COPY)))
    if len(text) != nbytes or crc32(text) != crc:
        return None
    plain = json.loads(text)
    return Label(**{**plain, **{key: tuple(plain[key]) for key in ("paths", "out", "parity")},
                    "groups": tuple((first, tuple(members)) for first, members in plain["groups"])})


def is_blank(member):
    """True for a member in which nobody has written anything where labels stand."""
    return not any(bytes(member.read_some(0, NBYTES)))
