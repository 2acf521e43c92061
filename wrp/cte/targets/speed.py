"""How fast targets are that nobody has declared: of file systems measured once for each user, kept in the user's cache; of memory, known figures."""

import json
import mmap
import os
import socket
import tempfile
import time

from wrp.cte.folder.files import replace

_OF_MEMORY = (10_000.0, 10_000.0, 0.1)      # MB/s writing and reading, us; above all that is measured
_OF_GPU = (8_000.0, 8_000.0, 10.0)          # over the bus
_MOST_MBPS, _LEAST_US = 5_000.0, 1.0        # a page cache must not look like memory
_NBYTES, _SMALL, _TRIES = 4 << 20, 4096, 3


def with_speed(wanted, folder):
    """The Wanted with figures where it has none. `folder`: of the store; None for one in memory."""
    if wanted.write_mbps and wanted.read_mbps and wanted.latency_us:
        return wanted
    if wanted.kind == "file":
        found = _of_folder(os.path.dirname(wanted.place) if wanted.place else folder)
    else:
        found = _OF_GPU if wanted.kind == "gpu" else _OF_MEMORY
    declared = wanted.write_mbps, wanted.read_mbps, wanted.latency_us
    return wanted._replace(**dict(zip(("write_mbps", "read_mbps", "latency_us"), (mine or other for mine, other in zip(declared, found)))))


def _of_folder(folder):
    """(MB/s writing, MB/s reading, us) of the file system of a folder; those of a slow disk where it can't be measured."""
    cache = os.path.join(os.environ.get("WRP_CACHE_DIR") or os.path.join(os.path.expanduser("~"), ".cache", "wrp"), "speeds.json")
    try:
        key = f"{socket.gethostname()} {os.stat(folder).st_dev}"
        known = _read(cache)
        if key not in known:
            known[key] = measure(folder)
            os.makedirs(os.path.dirname(cache), exist_ok=True)
            replace(cache, json.dumps(known).encode())
        return tuple(known[key])
    except OSError:
        return 100.0, 100.0, 1000.0


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return {key: three for key, three in found.items() if len(three) == 3 and all(number > 0 for number in three)}
    except (OSError, ValueError, AttributeError, TypeError):
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


def _timed(call):
    """Microseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6
