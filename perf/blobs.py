"""Put and get of one blob from Python against memcpy, in turns.

    python perf/blobs.py [--nbytes 1m] [--seconds 3] [--out FILE]
"""

import argparse
import statistics
import time

import numpy as np

from timing import setting, write
from wrp.comm.sizes import format_size, parse_size
from wrp.cte import Store

REGION = 256 << 20


def contenders(store, nbytes):
    """{name: function of a turn}. All of them rotate over the same number of places, in memory touched before.

    Whoever reads is half a round behind who writes: what it reads nobody has had in a cache for 128 MiB of writing, ours or memcpy's.
    """
    source = np.random.default_rng(0).integers(0, 256, nbytes, dtype=np.uint8)
    out = np.ones(nbytes, np.uint8)
    count = max(2, REGION // nbytes // 2)
    behind = count // 2
    target = np.ones((count, nbytes), np.uint8)
    names = [f"b{number}" for number in range(count)]
    for _ in range(2):
        for name in names:
            store.put("bench", name, source)
    return {
        "memcpy in": lambda turn: np.copyto(target[turn % count], source),
        "put": lambda turn: store.put("bench", names[turn % count], source),
        "memcpy out": lambda turn: np.copyto(out, target[(turn + behind) % count]),
        "get into a buffer": lambda turn: store.get("bench", names[(turn + behind) % count], out=out),
        "get as bytes": lambda turn: store.get("bench", names[(turn + behind + behind // 2) % count]),
        "view": lambda turn: store.view("bench", names[(turn + behind) % count]),
    }


def measure(nbytes, seconds):
    """Medians over rounds of 20 calls each, contenders in turn."""
    taken = {}
    with Store.open(None) as store:
        functions = contenders(store, nbytes)
        end, turn = time.perf_counter() + seconds, 0
        while time.perf_counter() < end or turn < 60:
            for name, function in functions.items():
                for number in range(turn, turn + 20):
                    start = time.perf_counter()
                    function(number)
                    taken.setdefault(name, []).append(time.perf_counter() - start)
            turn += 20
        store.destroy("bench")
    return {name: statistics.median(values) for name, values in taken.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nbytes", default="1m", help="size of the blob (default 1m)")
    parser.add_argument("--seconds", type=float, default=3, help="how long to measure (default 3)")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    nbytes = parse_size(arguments.nbytes)
    medians = measure(nbytes, arguments.seconds)
    ratios = {"put / memcpy": medians["memcpy in"] / medians["put"],
              "get into a buffer / memcpy": medians["memcpy out"] / medians["get into a buffer"],
              "get as bytes / memcpy": medians["memcpy out"] / medians["get as bytes"]}
    write(arguments.out, {"setting": setting(), "blob": format_size(nbytes),
                          "median_us": {name: round(value * 1e6, 2) for name, value in medians.items()},
                          "speed_ratio": {name: round(value, 3) for name, value in ratios.items()}})


if __name__ == "__main__":
    main()
