"""Blobs of another node's memory against the same MPI's own get, those that this node keeps (targets.cache) against both, and small ones one by one against many at once.

    WRP_RANKS_PER_NODE=1 mpirun -n 2 python perf/nodes_blobs.py [--nbytes 64m] [--seconds 2] [--out FILE]

Rank 0 asks, the other node has the blobs. MPI's own get fetches as many bytes of the same segment, while its target does nothing but poll: a window and a flush, without us.
"""

import argparse
import statistics
import sys
import tempfile
import time

import numpy as np

from timing import setting, write
from wrp.comm.ranks import run
from wrp.comm.sizes import parse_size
from wrp.comm.yardstick import Yardstick
from wrp.cte import Store
from wrp.cte.homes import home_of
from wrp.errors import UsageError
from wrp.runtime.config import load

SMALL, MANY = 1024, 64
_GETS, _QUIET_S = 3, 0.05       # of MPI, and of each call, one after the other in a round; until postmen nap


def measure(ranks, nbytes, seconds):
    """Figures on rank 0, None elsewhere. Collective."""
    with Store.open(None, ranks, _with_cache(2 * nbytes)) as store:
        homed = (f"b{number}" for number in range(1 << 20) if home_of("t", f"b{number}", ranks.nodes) == 1)
        large, kept, small = next(homed), next(homed), [next(homed) for _ in range(MANY)]
        memory = _region(store._parts.runtime, nbytes)
        plain, out, taken = Yardstick(ranks, memory), np.ones(nbytes, np.uint8), {}
        if ranks.rank == 0:
            calls = _calls(store, large, kept, small, out)
        for turn in range(max(5, round(5 * seconds))):
            time.sleep(_QUIET_S)
            for nanoseconds in plain.gets(out, _GETS):
                taken.setdefault("mpi get", []).append(nanoseconds / 1e9)
            if ranks.rank == 0:
                for name, call in calls.items():
                    taken.setdefault(name, []).extend(_timed(call) for _ in range(_GETS))
            ranks.barrier("rank 0 has measured")
        plain.free()
    return _summary(taken) if ranks.rank == 0 else None


def _timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _with_cache(nbytes):
    """The configuration, with so many bytes of targets.cache."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(f"targets: {{cache: {nbytes}}}\n")
        file.flush()
        return load(file.name)


def _region(runtime, nbytes):
    """Touched memory in the node's segment as an array, on its first rank. It begins where a page does, as a blob's: the processor copies a page up to twice as
    slowly to where NumPy's large arrays begin, 16 bytes behind a page, as from and to other places."""
    if runtime.ranks.local_rank:
        return None
    place, _ = runtime.segment.place("perf", nbytes, 4096)
    runtime.segment.reserve(place, nbytes)
    memory = np.frombuffer(runtime.segment.buffer, np.uint8, nbytes, place)
    memory[:] = 1
    return memory


def _calls(store, large, kept, small, out):
    data, rows = np.random.default_rng(0).integers(0, 256, len(out), np.uint8), np.ones((MANY, SMALL), np.uint8)
    store.put("t", large, data, score=0.1)              # too low for the cache
    store.put("t", kept, data)
    store.put_many("t", small, rows)

    def one_by_one():
        for name, row in zip(small, rows):
            store.get("t", name, out=row)
    calls = {"get": lambda: store.get("t", large, out=out), "get, kept": lambda: store.get("t", kept, out=out),
             "put": lambda: store.put("t", large + "x", data),
             "small, one by one": one_by_one, "small, many at once": lambda: store.get_many("t", small, rows)}
    for call in calls.values():
        call()
    return calls


def _summary(taken):
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    found = {"get, mpi's time / ours": (median["mpi get"] / median["get"], 0.8),
             f"{MANY} small gets, one by one / at once": (median["small, one by one"] / median["small, many at once"], 10)}
    return {"compared": {name: {"value": round(value, 3), "bar": f">= {bar}", "met": value >= bar} for name, (value, bar) in found.items()},
            "seconds": {name: round(seconds, 7) for name, seconds in median.items()}, "kept_of_get": round(median["get"] / median["get, kept"], 3)}


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
