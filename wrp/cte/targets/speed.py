"""How fast targets are that nobody has declared: of file systems and memory measured once for each user, kept in the user's cache. Later figures: pace.py."""

import json
import mmap
import os
import socket
import tempfile
import time

import numpy as np

from wrp.comm import caches
from wrp.comm.refusals import is_handlers
from wrp.cte.folder.files import replace
from wrp.runtime.devices import places

_OF_MEMORY = (10_000.0, 10_000.0, 0.1)      # MB/s writing and reading, us; where it can't be measured
_MEMORY = ("ram", "pinned", "noop")
_OF_BUCKET = (100.0, 100.0, 20_000.0)       # before anything was written or read
_OF_GPU = (8_000.0, 8_000.0, 10.0)          # over the bus, before anything has crossed it
_MOST_MBPS, _LEAST_US = 5_000.0, 1.0        # of a file: a page cache must not look like memory
_NBYTES, _SMALL, _TRIES = 4 << 20, 4096, 3
_OF_MEMORY_NBYTES = 16 << 20


def with_speed(wanted, folder):
    """The Wanted with figures where it has none. `folder`: of the store; None for one in memory."""
    if wanted.write_mbps and wanted.read_mbps and wanted.latency_us:
        return wanted
    if wanted.kind == "object":
        found = _OF_BUCKET
    elif wanted.is_durable or wanted.kind == "file":
        found = _of_folder(places.folder_of(wanted.place) if wanted.place else folder)
    else:
        found = _OF_GPU if wanted.kind == "gpu" else _of_memory()
    missing = {key: figure for key, figure in zip(("write_mbps", "read_mbps", "latency_us"), found) if not getattr(wanted, key)}
    # of memory every rank has one figure: it is never read or written by itself
    measured = tuple(key for key in ("write_mbps", "read_mbps") if key in missing) if wanted.kind not in _MEMORY else ()
    return wanted._replace(**missing, measured=measured)


def most_mbps(kind):
    """What a target of a kind can be taken to reach."""
    return float("inf") if kind in (*_MEMORY, "gpu") else _MOST_MBPS


def _of_folder(folder):
    """(MB/s writing, MB/s reading, us) of the file system of a folder; those of a slow disk where it can't be measured."""
    try:
        return _known(f"{socket.gethostname()} {os.stat(folder).st_dev}", lambda: measure(folder))
    except OSError as error:
        if is_handlers(error):
            raise
        return 100.0, 100.0, 1000.0


def _of_memory():
    """The same of this machine's memory; more than any file gets."""
    try:
        return _known(f"{socket.gethostname()} memory", measure_memory)
    except OSError as error:
        if is_handlers(error):
            raise
        return _OF_MEMORY


def _known(key, measured):
    """The figures under a key in the user's cache; what `measured()` gives where there are none yet."""
    cache = str(caches.root() / "speeds.json")
    known = _read(cache)
    if key not in known:
        known[key] = measured()
        os.makedirs(os.path.dirname(cache), exist_ok=True)
        replace(cache, json.dumps(known).encode())
    return tuple(known[key])


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return {key: three for key, three in found.items() if len(three) == 3 and all(number > 0 for number in three)}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        if is_handlers(error):
            raise
        return {}


def measure(folder):
    """(MB/s writing, MB/s reading, us) with synced writes of 4 MiB and 4 KiB to a file of the folder. Raises OSError."""
    data, best = mmap.mmap(-1, _NBYTES), [0.0, 0.0, float("inf")]
    with tempfile.TemporaryFile(dir=folder) as file, data:
        for _ in range(_TRIES):
            best[0] = max(best[0], _NBYTES / _timed(lambda: (os.pwrite(file.fileno(), data, 0), os.fdatasync(file.fileno()))))
            best[1] = max(best[1], _NBYTES / _timed(lambda: os.preadv(file.fileno(), [data], 0)))
            best[2] = min(best[2], _timed(lambda: (os.pwrite(file.fileno(), memoryview(data)[:_SMALL], 0), os.fdatasync(file.fileno()))))
    return [min(best[0], _MOST_MBPS), min(best[1], _MOST_MBPS), max(best[2], _LEAST_US)]


def measure_memory():
    """(MB/s writing, MB/s reading, us) with copies of 16 MiB and 4 KiB between pages of this process that are there. Raises OSError."""
    with mmap.mmap(-1, _OF_MEMORY_NBYTES) as source, mmap.mmap(-1, _OF_MEMORY_NBYTES) as target:
        here, there = np.frombuffer(source, np.uint8), np.frombuffer(target, np.uint8)
        best = min(_timed(lambda: np.copyto(there, here)) for _ in range(_TRIES + 1))
        # what Python takes for the call isn't the memory's
        small = min(_timed(lambda: np.copyto(there[:_SMALL], here[:_SMALL])) for _ in range(100)) - min(_timed(lambda: np.copyto(there[:1], here[:1])) for _ in range(100))
        del here, there
    mbps = max(_OF_MEMORY_NBYTES / best, 1.01 * _MOST_MBPS)
    return [mbps, mbps, min(max(small, 0.02), 0.9 * _LEAST_US)]


def _timed(call):
    """Microseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6
