"""Put and get of blobs through one peer, by the Python that has it: `PYTHON client.py PEER SECONDS NBYTES...` prints JSON.

Needs nothing of wrp but for the peer `wrp` itself. Every peer stores the same bytes under 64 names in turn and gives them back as it
does by itself: as bytes, or for ray and wrp's view as an array or memory that nobody copied.
"""

import json
import os
import statistics
import sys
import time
from contextlib import contextmanager
from functools import partial

_NAMES = [f"blob_{number}" for number in range(64)]
_LEAST = 20
_CAPACITY = 2 << 30             # of 64 blobs of 16 MiB there may be two generations at once


@contextmanager
def wrp():
    from wrp.cte import Store
    with Store.open(None) as store:
        yield {"put": partial(store.put, "bench"), "get": lambda name, nbytes: store.get("bench", name),
               "view": lambda name, nbytes: store.view("bench", name)}


@contextmanager
def redis():
    import redis as library
    with library.Redis(unix_socket_path=os.environ["PEER_SOCKET"]) as client:
        yield {"put": client.set, "get": lambda name, nbytes: client.get(name)}


@contextmanager
def ray():
    import ray as library
    library.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=_CAPACITY)
    kept = {}
    yield {"put": lambda name, data: kept.__setitem__(name, library.put(data)), "get": lambda name, nbytes: library.get(kept[name])}
    library.shutdown()


@contextmanager
def dragon():
    import multiprocessing

    import dragon as _                          # noqa: F401  (takes over multiprocessing)
    from dragon.data.ddict import DDict
    multiprocessing.set_start_method("dragon")
    table = DDict(1, 1, _CAPACITY)
    yield {"put": table.__setitem__, "get": lambda name, nbytes: table[name]}
    table.destroy()


@contextmanager
def iowarp():
    import iowarp_core                          # noqa: F401  (finds its libraries)
    import clio_cte_core_ext as library
    if not library.clio_init(library.RuntimeMode.kClient, True) or not library.initialize_cte("", library.PoolQuery.Dynamic()):
        raise RuntimeError("clio_init or initialize_cte says no")
    library.get_cte_client().RegisterTarget("ram::bench", library.BdevType.kRam, _CAPACITY)
    tag = library.Tag("bench")
    yield {"put": tag.PutBlob, "get": tag.GetBlob}


PEERS = {function.__name__: function for function in (wrp, redis, ray, dragon, iowarp)}


def timed(function, argument, seconds):
    """{"p50_us": ..., "per_s": ...} of calls with the names in turn."""
    for name in _NAMES:
        function(name, argument)
    taken, end, turn = [], time.perf_counter() + seconds, 0
    while time.perf_counter() < end or turn < _LEAST:
        start = time.perf_counter()
        function(_NAMES[turn % len(_NAMES)], argument)
        taken.append(time.perf_counter() - start)
        turn += 1
    return {"p50_us": round(1e6 * statistics.median(taken), 3), "per_s": round(len(taken) / sum(taken), 1)}


def main(peer, seconds, *sizes):
    found = {}
    with PEERS[peer]() as calls:
        for nbytes in map(int, sizes):
            data = os.urandom(nbytes)
            found[nbytes] = {"put": timed(calls["put"], data, float(seconds))}
            if bytes(calls["get"](_NAMES[0], nbytes)) != data:
                raise RuntimeError(f"{peer} gives other bytes back")
            found[nbytes].update({name: timed(call, nbytes, float(seconds)) for name, call in calls.items() if name != "put"})
        print("RESULT " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
