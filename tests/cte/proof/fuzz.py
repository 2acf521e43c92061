"""Journals, snapshots, headers and data files with bytes flipped, cut, doubled or zeroed: `python tests/cte/proof/fuzz.py --minutes 5`.

A store opened on such a folder refuses with an error of wrp, or shows of every blob a value that it once had; it never shows other bytes.
"""

import os
import random
import shutil
import sys
from collections import Counter

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", ".."))

from cte.proof import workload
from cte.proof.children import Child, succeeded
from cte.proof.script import main, until
from wrp.comm.checksum import crc32
from wrp.cte import Store
from wrp.errors import WrpError

COUNT, ROUNDS = 40, 20


def damaged(data, made):
    """`data` with one thing wrong."""
    data = bytearray(data)
    if not data:
        return bytes([made.randrange(256)])
    at, length = made.randrange(len(data)), made.randrange(1, 40)
    kind = made.choice(("flip", "cut", "double", "zero", "noise", "insert", "number"))
    if kind == "flip":
        data[at] ^= 1 << made.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "double":
        data[at:at] = data[max(0, at - length):at]
    elif kind == "zero":
        data[at:at + length] = bytes(len(data[at:at + length]))
    elif kind == "noise":
        data[at:at + length] = made.randbytes(len(data[at:at + length]))
    elif kind == "insert":
        data[at:at] = made.randbytes(length)
    else:
        data[at:at + 8] = made.choice((0, 1, -1, 1 << 31, 1 << 62)).to_bytes(8, "little", signed=True)
    return bytes(data)


def forged(data, made):
    """The first frame of a journal or snapshot with one thing wrong inside, and a checksum that says it is right."""
    nbytes = int.from_bytes(data[8:16], "little")
    payload = damaged(data[16:16 + nbytes], made)
    return data[:4] + crc32(payload).to_bytes(4, "little") + len(payload).to_bytes(8, "little") + payload + data[16 + nbytes:]


class Fuzz:
    """Folders made by workloads whose writer was killed, so that snapshot and journals hold something."""

    def __init__(self, root):
        self._store, self._whole = os.path.join(root, "store"), os.path.join(root, "whole")
        self._config = workload.Configured(root)
        self._values = {}

    def begin(self, seed):
        """A new folder; remembers what its blobs have ever been."""
        shutil.rmtree(self._whole, ignore_errors=True)
        code, told = Child(lambda tell: self._work(seed)).ended()
        assert code == -9, told
        model = workload.Model()
        self._values = {name: [None] for name in model.now}
        for operation in workload.operations(seed, COUNT):
            model.begun(operation)
            model.ended(operation)
            for name, value in model.now.items():
                self._values[name].append(value)

    def rounds(self, seed, count=ROUNDS):
        """Damage the folder `count` times and look at it; how each ended: Counter of names of errors, and "opened"."""
        return Counter(succeeded(lambda tell: [tell(self._round(seed, random.Random(seed * 1000 + number))) for number in range(count)]))

    def _work(self, seed):
        config = self._config.of(seed)
        store = Store.open(self._whole, config=config)
        for operation in workload.operations(seed, COUNT):
            if operation.kind == "reopen":
                store.close()
                store = Store.open(self._whole, config=config)
            else:
                workload.run(store, operation)
        store.flush()
        os.kill(os.getpid(), 9)

    def _round(self, seed, made):
        shutil.rmtree(self._store, ignore_errors=True)
        shutil.copytree(self._whole, self._store)
        files = [os.path.join(folder, name) for folder, _, names in os.walk(self._store) for name in names]
        path = made.choice([path for path in files if os.path.basename(path) not in ("lock", "members")])
        with open(path, "r+b") as file:
            data = file.read()
            is_forged = data.startswith(b"WRPF") and made.random() < 0.5
            data = (forged if is_forged else damaged)(data, made)
            file.seek(0), file.truncate(), file.write(data)
        try:
            with Store.open(self._store, config=self._config.of(seed)) as store:
                for name, values in self._values.items():
                    self._look(store, name, values, None if is_forged else path)
                store.put("after", "it", b"works")
            return "opened"
        except WrpError as error:
            assert str(error).strip(), path
            return type(error).__name__

    @staticmethod
    def _look(store, name, values, path):
        try:
            value = store.get(*name) if store.exists(*name) else None
        except WrpError:
            return                      # it says that the bytes aren't what they were
        assert path is None or value in values, f"{name} shows bytes that it never had, after damage to {path}"


def prove(root, made, minutes):
    """Damage folders of random workloads for so many minutes."""
    fuzz, found = Fuzz(root), Counter()
    for _ in until(minutes):
        seed = made.randrange(1 << 30)
        fuzz.begin(seed)
        found += fuzz.rounds(seed)
    return f"{found.total()} damaged folders: " + ", ".join(f"{count} {name}" for name, count in found.most_common())


if __name__ == "__main__":
    main(__doc__, prove)
