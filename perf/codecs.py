"""Codecs, their choice by sampling, and encryption: ratios and speeds on made data, and put and get of such blobs against plain ones.

    python perf/codecs.py [--mib 8] [--seconds 0.5] [--out FILE]
"""

import argparse
import os

import numpy as np

from timing import per_call, setting, write
from wrp.cte import Store
from wrp.cte.codecs import PRESETS, Compression, available, codec, compress, frame, registry
from wrp.cte.crypt import Key, Lock

MIB = 1 << 20


def data_sets(nbytes):
    """{name: (array, dtype)}: a smooth field with noise, counts, text, and bytes that nothing makes smaller."""
    rng = np.random.default_rng(1)
    count = nbytes // 4
    field = (np.sin(np.linspace(0, 200, count)) * 50 + rng.normal(0, 0.05, count)).astype("f4")
    lines = b"".join(b"%08d INFO step %d of %d took %d ms\n" % (n, n % 100, 100, n * 7 % 991) for n in range(nbytes // 40 + 1))
    return {"field": (field, "f4"), "counts": (rng.poisson(3, count).astype("i4"), "i4"),
            "text": (np.frombuffer(lines[:nbytes], "u1"), "u1"), "random": (rng.integers(0, 256, nbytes).astype("u1"), "u1")}


def one(made, data, seconds):
    encoded = made.encode(data)
    mb = data.nbytes / 1e6
    return {"ratio": round(data.nbytes / len(encoded), 2), "encode_mbps": round(mb / per_call(lambda: made.encode(data), seconds, 1)),
            "decode_mbps": round(mb / per_call(lambda: made.decode(encoded, data.nbytes), seconds, 1))}


def codecs(sets, seconds):
    """{data: {codec preset: figures}} of every codec that is installed; slow ones on an eighth of the data."""
    found = {}
    for name, (data, dtype) in sets.items():
        rows = found[name] = {}
        for each in [*available(), "shuffle+zstd", "shuffle+lz4"]:
            if each in registry.LOSSY and dtype != "f4":
                continue
            for preset in PRESETS:
                part = data[:len(data) // 8] if preset == "best" or each in ("bzip2", "lzma") else data
                rows[f"{each} {preset}"] = one(codec(each, preset, dtype), part, seconds)
    return found


def choices(sets):
    """{data: {preference: what was chosen, ratio}}."""
    return {name: {prefer: _chosen(data, Compression(mode="dynamic", prefer=prefer, dtype=dtype)) for prefer in ("balanced", "ratio", "speed")}
            for name, (data, dtype) in sets.items()}


def _chosen(data, compression):
    _, outcome = compress(data, compression)
    return {"codec": outcome.codec, "preset": outcome.preset, "ratio": round(outcome.ratio, 2)}


def stores(data, seconds):
    """Microseconds of put and get of 1 MiB of `data` in ram: plain, by codecs, and what sealing costs."""
    part = data[:MIB // data.itemsize]
    found, out = {}, bytearray(MIB)
    with Store.open() as store:
        for name in (None, "lz4 fast", "zstd fast", "zlib fast"):
            put = per_call(lambda: store.put("t", "b", part, compression=name), seconds)
            get = per_call(lambda: store.get("t", "b", out=out), seconds)
            found[name or "plain"] = {"put_us": round(put * 1e6), "get_us": round(get * 1e6), "stored": store.info("t", "b").stored}
    key = Key(os.urandom(32), "this run")
    cipher = Lock.made_for(key).opened(key)
    sealed = frame.encode(part, None, cipher, b"n")
    found["seal 1 MiB"] = {"put_us": round(per_call(lambda: frame.encode(part, None, cipher, b"n"), seconds) * 1e6),
                           "get_us": round(per_call(lambda: frame.decode(sealed, cipher, b"n"), seconds) * 1e6)}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mib", type=float, default=8, help="size of each data set (default 8)")
    parser.add_argument("--seconds", type=float, default=0.5, help="about so long for each figure (default 0.5)")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    sets = data_sets(int(arguments.mib * MIB))
    write(arguments.out, {"setting": setting(), "mib": arguments.mib, "codecs": codecs(sets, arguments.seconds), "dynamic": choices(sets),
                          "store": stores(data_sets(MIB)["counts"][0], arguments.seconds)})


if __name__ == "__main__":
    main()
