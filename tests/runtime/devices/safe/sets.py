"""Sets of members in a folder, with the bytes that they are to show. Not a test."""

import os
import shutil
import time
from contextlib import contextmanager

from hypothesis import strategies as st

from wrp.runtime.devices.safe import opening
from wrp.runtime.devices.safe.board import Board
from wrp.runtime.devices.safe.layout import CHUNK, ZONE
from wrp.runtime.devices.safe.member import LOOK_S, FileMember

CAPACITY = 3 * ZONE * CHUNK
OPERATIONS = st.lists(st.tuples(st.integers(0, CAPACITY - 1), st.sampled_from([1, 700, 4096, CHUNK, CHUNK + 1, 5 * CHUNK, 600_000]), st.integers(0, 2**32)), min_size=1, max_size=6)


class Set:
    """`model`: the bytes of the device."""

    def __init__(self, folder, data, parity, model=None):
        self.folder, self.parity = folder, parity
        self.paths = [str(folder / f"m{number}") for number in range(data + parity)]
        self.model = bytearray(CAPACITY) if model is None else model

    @contextmanager
    def opened(self):
        array = opening.opened(self.paths, self.parity, CAPACITY, self.member, self.board(), False)
        try:
            yield array
            opening.closed(array)
        finally:
            array.close()

    board = staticmethod(Board.private)

    @staticmethod
    def member(position, path, create):
        return FileMember(path, create=create)

    def put(self, array, offset, data):
        array.write(offset, memoryview(data))
        self.model[offset:offset + len(data)] = data

    def write(self, array, rng, count):
        for _ in range(count):
            nbytes = min(rng.choice([1, 4096, CHUNK, 300_000, 1 << 20]), len(self.model))
            self.put(array, rng.randrange(len(self.model) - nbytes + 1), rng.randbytes(nbytes))

    def check(self, array, begin=0):
        found = bytearray(len(self.model) - begin)
        array.read(begin, memoryview(found))
        assert found == self.model[begin:]

    def grow(self, capacity):
        self.model.extend(bytes(capacity - len(self.model)))

    def without(self, lost, again=False):
        """A copy of the set that lacks some members; `again`: the one that there is already."""
        folder = self.folder / ("without-" + "-".join(map(str, sorted(lost))))
        if not again:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        other = Set(folder, 0, self.parity, self.model)
        other.paths = [str(folder / os.path.basename(path)) for path in self.paths]
        for position, path in enumerate(self.paths):
            if position not in lost and not again:
                shutil.copy(path, other.paths[position])
        for path in sorted(self.folder.glob("m?")) if not again else ():            # those that were added
            if str(path) not in self.paths and len(other.paths) not in lost:
                shutil.copy(path, folder / path.name)
        return other

    def copy(self, position):
        with open(self.paths[position], "rb") as file:
            return file.read()

    def bring(self, position, data):
        with open(self.paths[position], "wb") as file:
            file.write(data)

    def flip(self, position, place):
        with open(self.paths[position], "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1]))

    def wipe(self, position, place, nbytes):
        with open(self.paths[position], "r+b") as file:
            file.seek(place)
            file.write(bytes(nbytes))

    def fail(self, position):
        break_disk(self.paths[position])

    def works(self, position):
        if os.path.exists(self.paths[position] + ".fail"):
            mend_disk(self.paths[position])


def break_disk(path):
    """From now on each read and write of a member fails, in every process."""
    open(path + ".fail", "w").close()
    time.sleep(LOOK_S)


def mend_disk(path):
    os.unlink(path + ".fail")
    time.sleep(LOOK_S)
