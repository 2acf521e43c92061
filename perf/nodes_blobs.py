"""Blobs of another node's memory against the same MPI's own get, and small ones one by one against many at once.

    WRP_RANKS_PER_NODE=1 mpirun -n 2 python perf/nodes_blobs.py [--nbytes 64m] [--seconds 2] [--out FILE]

Rank 0 asks, the other node has the blobs. MPI's own get fetches the same bytes from the same memory: as a whole and in pieces of 4 MiB, of which the fastest way counts.
"""

import argparse
import sys

import numpy as np

from timing import in_turns, setting, write
from wrp.comm.ranks import run
from wrp.comm.sizes import parse_size
from wrp.cte import Store
from wrp.cte.nodes.homes import home_of
from wrp.errors import UsageError

SMALL, MANY, PIECE = 1024, 64, 4 << 20


def measure(ranks, nbytes, seconds):
    """Figures on rank 0, None elsewhere. Collective."""
    with Store.open(None, ranks) as store:
        homed = (f"b{number}" for number in range(1 << 20) if home_of("t", f"b{number}", ranks.nodes) == 1)
        large, small = next(homed), [next(homed) for _ in range(MANY)]
        place = _region(store._parts.runtime, nbytes)
        ranks.barrier("the memory for MPI's own get is there")
        if ranks.rank == 0:
            store.put("t", large, np.random.default_rng(0).integers(0, 256, nbytes, np.uint8))
            store.put_many("t", small, np.ones((MANY, SMALL), np.uint8))
            found = _asked(store, large, small, place, nbytes, seconds)
        ranks.barrier("rank 0 has measured")
    return found if ranks.rank == 0 else None


def _region(runtime, nbytes):
    """Offset of touched memory in the node's segment, made by its first rank."""
    if runtime.ranks.local_rank:
        return None
    place, _ = runtime.segment.place("perf", nbytes)
    runtime.segment.reserve(place, nbytes)
    np.frombuffer(runtime.segment.buffer, np.uint8, nbytes, place)[:] = 1
    return place


def _asked(store, large, small, place, nbytes, seconds):
    out, rows, remote = np.ones(nbytes, np.uint8), np.ones((MANY, SMALL), np.uint8), store._parts.runtime.remote
    data = out.copy()
    # all nodes have laid out their memory alike
    pieces = [(place + start, out[start:start + PIECE]) for start in range(0, nbytes, PIECE)]

    def one_by_one():
        for name, row in zip(small, rows):
            store.get("t", name, out=row)

    taken = in_turns({
        "get": lambda: store.get("t", large, out=out), "put": lambda: store.put("t", large + "x", data),
        "mpi get": lambda: remote.get(1, place, out), "mpi get in pieces": lambda: remote.get_many(1, pieces),
        "mpi get, piece by piece": lambda: [remote.get(1, *piece) for piece in pieces],
        "small, one by one": one_by_one, "small, many at once": lambda: store.get_many("t", small, rows),
    }, seconds)
    mpi = min(value for name, value in taken.items() if name.startswith("mpi"))
    return {"seconds": {name: round(value, 7) for name, value in taken.items()}, "get_of_mpi": round(mpi / taken["get"], 3),
            "many_of_single": round(taken["small, one by one"] / taken["small, many at once"], 1)}


def main(ranks):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nbytes", default="64m", help="size of the large blob (default 64m)")
    parser.add_argument("--seconds", type=float, default=2, help="how long to measure (default 2)")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    options = parser.parse_args()
    if ranks.nodes < 2:
        raise UsageError("one node has nothing to fetch: start it on two, or with WRP_RANKS_PER_NODE=1 and mpirun -n 2")
    found = measure(ranks, parse_size(options.nbytes), options.seconds)
    if ranks.rank == 0:
        write(options.out, {"setting": setting(), "nbytes": parse_size(options.nbytes), "small": [MANY, SMALL], **found})


if __name__ == "__main__":
    sys.exit(run(main))
