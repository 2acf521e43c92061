"""One job of perf/ingest: every rank of it runs this. Contenders take turns; a time is from a barrier to the last rank's end.

    mpirun -n N python perf/ingest_job.py FOLDER ROUNDS OUT
"""

import mmap
import os
import shutil
import sys

import h5py
import numpy as np

from timing import summary, together, write
from wrp.comm import window
from wrp.cae import ingest, omni
from wrp.cae.hdf5.survey import BLOB_NBYTES
from wrp.comm.checksum import crc32
from wrp.comm.ranks import world
from wrp.cte import Store

STEP = 4 << 20


class Peers:
    """What a user would write by hand: this rank's share of rows, read through h5py, or read and copied into shared memory."""

    def __init__(self, ranks, path):
        self._ranks, self._path = ranks, path
        with h5py.File(path) as file:
            field = file["field"]
            rows = field.shape[0]
            unit = field.chunks[0] if field.chunks else 1
            units = rows // unit
            self._low, self._high = (units * part // ranks.size * unit for part in (ranks.rank, ranks.rank + 1))
            self._offset, self._shape = field.id.get_offset(), field.shape
            self.logical = field.nbytes

    @property
    def contiguous(self):
        return self._offset is not None

    def h5py_new(self):
        """Into a new array, as `dataset[low:high]` gives."""
        with h5py.File(self._path, locking=False) as file:
            return file["field"][self._low:self._high]

    def h5py_into(self, target):
        """Into this rank's part of shared memory that exists already."""
        with h5py.File(self._path, locking=False) as file:
            file["field"].read_direct(target, np.s_[self._low:self._high], np.s_[self._low:self._high])

    def h5py_checked(self, target):
        """The same, and the checksum of every 1.5 MiB of it: what the store promises of its blobs."""
        self.h5py_into(target)
        own = target[self._low:self._high].reshape(-1).view(np.uint8)
        for start in range(0, len(own), BLOB_NBYTES):
            crc32(own[start:start + BLOB_NBYTES])

    def read_and_copy(self, target):
        """pread into a small buffer, copied once into shared memory."""
        row = self.logical // self._shape[0]
        flat = target.reshape(-1).view(np.uint8)
        buffer = np.empty(STEP, np.uint8)
        descriptor = os.open(self._path, os.O_RDONLY)
        for start in range(self._low * row, self._high * row, STEP):
            count = os.preadv(descriptor, [buffer[:self._high * row - start]], self._offset + start)
            flat[start:start + count] = buffer[:count]
        os.close(descriptor)

    def shared(self, segment):
        """The whole field in a segment, as an array."""
        start, _ = segment.place("field", self.logical, 4096)
        return np.frombuffer(segment.buffer[start:start + self.logical], "f8").reshape(self._shape)


class Ours:
    """wrp: the same file through its HDF5 assimilator."""

    def __init__(self, ranks, path, folder):
        self._ranks, self._folder = ranks, folder
        jobs = f"{path}.yaml"
        if ranks.rank == 0:
            with open(jobs, "w", encoding="utf-8") as file:
                file.write(f"transfers:\n  - {{src: 'hdf5::{path}', dst: 'iowarp::bench', format: hdf5}}\n")
        ranks.barrier("the job file is written")
        self._job = omni.load(jobs)

    def ingest(self, store):
        ingest.run(self._job, store, self._ranks, None)

    def forget(self, store):
        if self._ranks.rank == 0:
            for tag in store.tags():
                store.destroy(tag)
        self._ranks.barrier("the last round is forgotten")


def used_memory(nbytes):
    """Have so many bytes free, in large pages, that were in use just now: a virtual machine gives back what is free for seconds, and its host makes those
    pages anew when somebody comes; whoever is measured after a long rest would pay for that, and not who comes after another."""
    with mmap.mmap(-1, nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        view = np.frombuffer(memory, np.uint8)
        view[::mmap.PAGESIZE] = 1
        del view


def rounds_of(ranks, path, folder, rounds):
    """{contender: [seconds]}; who fills fresh pages finds some that were in use just before."""
    peers, ours, taken = Peers(ranks, path), Ours(ranks, path, folder), {}

    def timed(name, function):
        taken.setdefault(name, []).append(together(ranks, function))

    def timed_in_fresh(name, function):
        used_memory(peers.logical // ranks.size)
        timed(name, function)

    def fresh_copy():
        with window.allocate(ranks.on_node, peers.logical + (1 << 20)) as segment:
            peers.read_and_copy(peers.shared(segment))

    segment = window.allocate(ranks.on_node, peers.logical + (1 << 20))
    target = peers.shared(segment)
    for turn in range(rounds + 1):
        if peers.contiguous:
            timed_in_fresh("read and copy into fresh shared memory", fresh_copy)
            timed("read and copy into existing shared memory", lambda: peers.read_and_copy(target))
        timed_in_fresh("h5py into a new array", peers.h5py_new)
        timed("h5py into existing shared memory", lambda: peers.h5py_into(target))
        timed("h5py into existing shared memory, and checksums", lambda: peers.h5py_checked(target))
        with Store.open(None, ranks) as store:
            timed_in_fresh("wrp into fresh memory", lambda: ours.ingest(store))
            for _ in range(2):          # after the first of them every rank has every page in its page table
                ours.forget(store)
                again = together(ranks, lambda: ours.ingest(store))
            taken.setdefault("wrp into existing memory", []).append(again)
        place = os.path.join(folder, "store")
        with Store.open(place, ranks) as store:
            timed("wrp into a folder, durable", lambda: ours.ingest(store))
        if ranks.rank == 0:
            shutil.rmtree(place)
        if turn == 0:
            taken = {}                  # a warm-up round
    del target
    segment.close()
    return peers.logical, taken


def report(nbytes, taken):
    """Seconds, GB/s and the ratios the README speaks of."""
    best = {name: sorted(values)[len(values) // 2] for name, values in taken.items()}
    pairs = {
        "wrp / read and copy, both into fresh memory": ("wrp into fresh memory", "read and copy into fresh shared memory"),
        "wrp / read and copy, both into existing memory": ("wrp into existing memory", "read and copy into existing shared memory"),
        "wrp into fresh memory / h5py into a new array": ("wrp into fresh memory", "h5py into a new array"),
        "wrp / h5py, both into existing memory": ("wrp into existing memory", "h5py into existing shared memory"),
        "wrp / h5py and checksums, both into existing memory": ("wrp into existing memory",
                                                                "h5py into existing shared memory, and checksums"),
    }
    return {"nbytes": nbytes,
            "seconds": {name: summary(values) for name, values in taken.items()},
            "GB_per_s": {name: round(nbytes / value / 1e9, 3) for name, value in best.items()},
            "speed_ratio": {name: round(best[peer] / best[own], 3) for name, (own, peer) in pairs.items() if peer in best}}


def main():
    folder, rounds, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with world() as ranks:
        result = {name: report(*rounds_of(ranks, os.path.join(folder, f"{name}.h5"), folder, rounds))
                  for name in ("contiguous", "gzip")}
        if ranks.rank == 0:
            write(out, result)


if __name__ == "__main__":
    main()
