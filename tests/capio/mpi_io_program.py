"""Two ranks write, or read and check, files through MPI-IO: one in contiguous blocks, one in strides, one block by block. argv: write | read, folder.

The writers stay until the readers have begun, so that these have to wait.
"""

import os
import sys
import time

import numpy as np

BLOCKS, NUMBERS = 50, 64        # blocks of each rank, numbers in each
_PATIENCE_S, _HEAD_START_S = 60, 0.5


def block(rank, number):
    return np.arange(NUMBERS, dtype="i8") + 1_000_000 * rank + 1000 * number


def main(what, folder):
    from mpi4py import MPI

    ranks = MPI.COMM_WORLD
    begun = f"{folder}/../the readers have begun"
    if what == "read":
        open(begun, "w").close()
    mine = np.concatenate([block(ranks.rank, number) for number in range(BLOCKS)])
    for name, strided in (("contiguous", False), ("strided", True), ("repeated", False)):
        mode = MPI.MODE_CREATE | MPI.MODE_WRONLY if what == "write" else MPI.MODE_RDONLY
        file = MPI.File.Open(ranks, f"{folder}/{name}", mode)
        if strided:
            view = MPI.INT64_T.Create_vector(BLOCKS, NUMBERS, NUMBERS * ranks.size).Commit()
            file.Set_view(8 * NUMBERS * ranks.rank, MPI.INT64_T, view)
        else:
            file.Set_view(mine.nbytes * ranks.rank, MPI.INT64_T, MPI.INT64_T)
        if what == "write" and name == "repeated":
            for number in range(BLOCKS):
                file.Write(block(ranks.rank, number))
        elif what == "write":
            file.Write_all(mine)
        else:
            found = np.empty_like(mine)
            file.Read_all(found)
            assert np.array_equal(found, mine), name
            assert file.Get_size() == mine.nbytes * ranks.size
        file.Close()
    if what == "write":
        _wait_for(begun)


def _wait_for(path):
    deadline = time.monotonic() + _PATIENCE_S
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(_HEAD_START_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
