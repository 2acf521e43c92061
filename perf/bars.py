"""What is asked of the store on one node, a row each: its value, its bar, and whether it is met. Contenders take turns within a row.

    python perf/bars.py [--seconds 1] [--blobs 1000000] [--folder DIR] [--out FILE]
"""

import argparse
import itertools
import os
import shutil
import statistics
import tempfile
import time
from contextlib import contextmanager

import numpy as np

from blobs import measure
from timing import in_turns, per_call, setting, write
from wrp.comm.checksum import crc32
from wrp.comm.ranks.solo import Solo
from wrp.comm.sizes import format_size
from wrp.cte import Store
from wrp.cte.bench import cli, measuring
from wrp.runtime.config import load

MIB = 1 << 20
_BATCH = 4096                   # names of a call where there are very many
_TOGETHER = 9                   # runs of two clients, of which the median counts
_FILE = "storage: [{path: data, bdev_type: file, capacity_limit: 8g}]\n"
_LITTLE = "storage: [{path: 'ram::little', bdev_type: ram, capacity_limit: 2m}, {path: %s, bdev_type: file, capacity_limit: 1g}]\n"
_RAM = "storage: [{path: 'ram::bars', bdev_type: ram, capacity_limit: %dm}]\nruntime: {index_slots: %d}\n"


def ram(seconds):
    """The ram tier from Python and from a jitted loop."""
    small, rows = measure(4096, seconds), {}
    for name, contender, most in (("put 4 KiB", "put", 6.0), ("get 4 KiB", "get as bytes", 4.0), ("view 4 KiB", "view", 6.0)):
        rows[f"{name}, us"] = _at_most(small[contender] * 1e6, most)
    for nbytes in (MIB, 16 * MIB):
        large, size = measure(nbytes, seconds), format_size(nbytes)
        rows[f"put {size} / memcpy"] = _at_least(large["memcpy in"] / large["put"], 0.85)
        rows[f"get {size} / memcpy"] = _at_least(large["memcpy out"] / large["get into a buffer"], 0.85)
        rows[f"view {size}, us"] = _at_most(large["view"] * 1e6, 6.0)
    phases = _bench("PutGet", 1, 1, "4k", 8192, "--jitted")["phases"]
    get, copy = (phases[name]["latency_ns"]["p50"] for name in ("get", "memcpy"))
    rows["get 4 KiB from a jitted loop, us"] = _at_most(get / 1e3, (3 * copy + 300) / 1e3)
    rows["puts of 4 KiB in batches of 64, per second"] = _at_least(_batches(seconds), 700_000)
    # a run of two clients lasts 5 ms: any other process of these cores decides about a single one
    found = [_bench("PutGet", 2, 1, "1m", 64)["ratios"] for _ in range(_TOGETHER)]
    for name in found[0]:
        rows[f"two clients, 1 MiB: {name.replace('_to_', ' / two ')}s"] = _at_least(statistics.median(each[name] for each in found), 0.8)
    return rows


def _batches(seconds):
    """Puts per second by the median of single batches, into memory that has its pages."""
    groups, row = [[f"b{number}" for number in range(start, start + 64)] for start in range(0, 16384, 64)], np.zeros((64, 4096), np.uint8)
    with Store.open(None) as store:
        for names in groups:
            store.put_many("t", names, row)
        turns = itertools.cycle(groups)
        return 64 / per_call(lambda: store.put_many("t", next(turns), row), seconds)


def files(folder, seconds):
    """The file tier against the same writes without us, with and without what makes them durable."""
    data, rows, count = np.random.default_rng(0).integers(0, 256, MIB, dtype=np.uint8), {}, 64
    # where there is ram a put goes there and a flush writes it; with hardly any, the file is what a put goes to
    little = _LITTLE % os.path.join(folder, "little.bin")
    for name, text, row in (("files", _FILE, "into a store with a file"), ("little", little, "beyond its ram")):
        with Store.open(os.path.join(folder, name), config=_configured(folder, name, text)) as store, _file(folder, f"plain-{name}", count * MIB) as plain:
            def put():
                for number in range(count):
                    store.put("t", f"b{number}", data)

            def pwrite():
                for number in range(count):
                    os.pwrite(plain, data, number * MIB)

            def checked():
                for number in range(count):
                    os.pwrite(plain, data, number * MIB)
                    crc32(data)
            taken = in_turns({"ours": put, "theirs": pwrite, "checked": checked}, seconds)
            rows[f"put of {count} x 1 MiB {row} / pwrite"] = _at_least(taken["theirs"] / taken["ours"], 0.9)
            rows[f"pwrite and its checksum alone, beside puts {row}, / pwrite"] = {"value": round(taken["theirs"] / taken["checked"], 3)}
            taken = in_turns({"ours": lambda: (put(), store.flush()), "theirs": lambda: (pwrite(), os.fdatasync(plain))}, seconds)
            rows[f"the same {row}, flushed / pwrite and fdatasync"] = _at_least(taken["theirs"] / taken["ours"], 0.9)
            if name == "little":
                rows.update(_gets(store, plain, count, seconds))
    return rows


def _gets(store, plain, count, seconds):
    """Gets of what mostly lies in the file, against reads of a file in the page cache: into an array, and as bytes."""
    out = np.empty(MIB, np.uint8)
    taken = in_turns({"get": lambda: [store.get("t", f"b{number}", out=out) for number in range(count)],
                      "preadv": lambda: [os.preadv(plain, [out], number * MIB) for number in range(count)],
                      "get as bytes": lambda: [len(store.get("t", f"b{number}")) for number in range(count)],
                      "pread": lambda: [len(os.pread(plain, MIB, number * MIB)) for number in range(count)]}, seconds)
    return {f"get of {count} x 1 MiB beyond its ram / preadv": {"value": round(taken["preadv"] / taken["get"], 3)},
            "the same as bytes / pread": {"value": round(taken["pread"] / taken["get as bytes"], 3)}}


def journal(folder, seconds):
    """Small durable puts against what makes bytes and a name durable without a journal, a write and a sync of each; and against the bytes alone, without a name."""
    data = bytes(4096)
    with _store(folder, "journal") as store, _file(folder, "bytes", MIB) as first, _file(folder, "names", MIB) as second:
        def durable():
            store.put("t", "b", data)
            store.flush()

        def plain():
            os.pwrite(first, data, 0)
            os.fdatasync(first)
            os.pwrite(second, data[:200], 0)
            os.fdatasync(second)

        def nameless():
            os.pwrite(first, data, 0)
            os.fdatasync(first)
        taken = in_turns({"ours": durable, "theirs": plain, "nameless": nameless}, seconds)
    return {"durable put of 4 KiB, time / writes and syncs of bytes and of names": _at_most(taken["ours"] / taken["theirs"], 1.15),
            "durable put of 4 KiB, time / one write and sync of bytes alone": {"value": round(taken["ours"] / taken["nameless"], 3)}}


def many(folder, blobs):
    """Very many blobs of one tag: the last tenth against the first one, and the index's bytes."""
    blobs = -(-blobs // _BATCH) * _BATCH
    rows, tenth = {}, max(_BATCH, blobs // 10)
    row = np.zeros((_BATCH, 16), np.uint8)
    with Store.open(None, config=_configured(folder, "many", _RAM % (64 + blobs // 8192, blobs + 1024))) as store:
        put = [_timed(lambda: store.put_many("t", _names(start), row)) for start in range(0, blobs, _BATCH)]
        rows["put, last tenth / first, time per blob"] = _at_most(_growth(put, tenth), 1.5)
        rows["index, B a blob"] = _at_most(store.statistics().index.nbytes / blobs, 200)
        get = [_timed(lambda: store.get_many("t", _names(start))) for start in range(0, blobs, _BATCH)]
        rows["get, last tenth / first, time per blob"] = _at_most(_growth(get, tenth), 1.5)
        rows["list, us a blob"] = _at_most(_timed(lambda: store.list("t")) / blobs * 1e6, 5)
        rows["regex over all, us a blob"] = _at_most(_timed(lambda: store.blobs("t", "b0*1.*7")) / blobs * 1e6, 5)
        names = [name for start in range(0, blobs, _BATCH) for name in _names(start)]
        delete = [_timed(lambda: [store.delete("t", name) for name in names[start:start + _BATCH]]) for start in range(0, blobs, _BATCH)]
        rows["delete, last tenth / first, time per blob"] = _at_most(_growth(delete, tenth), 1.5)
    return rows


def _names(start):
    return [f"b{number:08}" for number in range(start, start + _BATCH)]


def _growth(seconds, tenth):
    """Medians of the batches of the last tenth to those of the first; the very first one meets fresh pages."""
    count = max(1, tenth // _BATCH)
    return statistics.median(seconds[-count:]) / statistics.median(seconds[1:count + 1] or seconds)


def _timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _configured(folder, name, text):
    path = os.path.join(folder, f"{name}.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return load(path)


def _store(folder, name):
    return Store.open(os.path.join(folder, name), config=_configured(folder, name, _FILE))


@contextmanager
def _file(folder, name, nbytes):
    """A descriptor of a file of its full size, for as long as the block lasts."""
    descriptor = os.open(os.path.join(folder, f"{name}.bin"), os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(descriptor, 0, nbytes)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _bench(*arguments):
    return measuring.measure(Solo(), cli.parse(list(map(str, arguments))))


def _at_least(value, bar):
    return {"value": round(value, 3), "at_least": round(bar, 3), "met": bool(value >= bar)}


def _at_most(value, bar):
    return {"value": round(value, 3), "at_most": round(bar, 3), "met": bool(value <= bar)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=1, help="how long to measure a row (default 1)")
    parser.add_argument("--blobs", type=int, default=1_000_000, help="how many blobs a tag has at most (default 1000000)")
    parser.add_argument("--folder", help="where files are made (default: the folder of temporary files)")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="wrp-bars-", dir=arguments.folder)
    try:
        rows = {**ram(arguments.seconds), **files(folder, arguments.seconds), **journal(folder, arguments.seconds), **many(folder, arguments.blobs)}
    finally:
        shutil.rmtree(folder)
    write(arguments.out, {"setting": setting(), "blobs": arguments.blobs, "bars": rows})


if __name__ == "__main__":
    main()
