"""A writer that is killed (SIGKILL) at each of its writes to members, whole or torn, then without lost members: bytes that were written before are there,
and the row of the last write is as before it or as after it. Not a test: test_killed.py runs it, in a process that has no threads.

    python -m runtime.devices.safe.crash FOLDER
"""

import itertools
import os
import random
import signal
import sys
from pathlib import Path

from runtime.devices.safe.sets import Set

from wrp.runtime.devices.safe.layout import CHUNK
from wrp.runtime.devices.safe.member import FileMember

DATA, PARITY = 3, 2
ROW = DATA * CHUNK
PAIRS = list(itertools.combinations(range(DATA + PARITY), 2))
# offset and bytes of the write that is killed: rows that nobody has written, parts and the whole of one that holds something, several rows
WRITES = {"fresh rows": (16 * ROW, 2 * ROW), "part of a fresh row": (20 * ROW + 5000, CHUNK), "part": (ROW + 3000, 70_000), "row": (0, ROW), "rows": (2 * ROW - 100, ROW + 200)}


class Dying(FileMember):
    """Ends its process at the write number `at`; after a part of it where `torn`."""

    at, torn = -1, False

    def write(self, place, *pieces):
        if Dying.at == 0:
            if Dying.torn:
                whole = b"".join(bytes(piece) for piece in pieces)
                super().write(place, whole[:len(whole) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        Dying.at -= 1
        super().write(place, *pieces)


class DyingSet(Set):
    @staticmethod
    def member(position, path, create):
        return Dying(path, create=create)


def killed(made, offset, data, at, torn):
    """True when a child was killed in its write."""
    child = os.fork()
    if not child:
        with made.opened() as array:
            Dying.at, Dying.torn = at, torn
            array.write(offset, memoryview(data))
            Dying.at = -1
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def check(made, offset, new, lost):
    """Each row is what it was or what it was to be; there are no others."""
    with made.without(lost).opened() as array:
        found = bytearray(len(made.model))
        array.read(0, memoryview(found))
    after = bytearray(made.model)
    after[offset:offset + len(new)] = new
    for row in range(0, len(found), ROW):
        part = found[row:row + ROW]
        assert part in (made.model[row:row + ROW], after[row:row + ROW]), f"row {row // ROW} without {lost} is neither"


def main(folder):
    rng, count = random.Random(4), 0
    for name, (offset, nbytes) in WRITES.items():
        for torn in (False, True):
            for at in itertools.count(int(torn), 2):
                part = Path(folder) / f"{name}-{torn}-{at}"
                part.mkdir()
                made = DyingSet(part, DATA, PARITY)
                with made.opened() as array:
                    made.put(array, 0, rng.randbytes(5 * ROW + 77))
                new = rng.randbytes(nbytes)
                if not killed(made, offset, new, at, torn):
                    break
                for lost in [(), (rng.randrange(DATA + PARITY),), rng.choice(PAIRS)]:
                    check(made, offset, new, lost)
                    count += 1
                for path in part.rglob("*"):
                    if path.is_file():
                        path.unlink()
    print(f"{count} openings after a kill: every row as before or as after")


if __name__ == "__main__":
    main(sys.argv[1])
