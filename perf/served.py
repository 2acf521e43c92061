"""What a call of a daemon's store costs an attached program: put and get of one blob, beside the round trip of a task that does nothing, and memcpy.

    python perf/served.py [--seconds S] [--out FILE]

All take turns in one process; the daemon is another one. `task`: a method of the same module, in the same worker, that does nothing: what every call needs at least. `memcpy`: the blob's bytes once;
a call copies them twice, once in each process. Ratios are theirs / ours: of short blobs to the task, of long ones to memcpy.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
from ingest import environment
from startup import ready
from timing import in_turns, setting, write
from wrp.cte import Store
from wrp.cte.served.serving import DROP
from wrp.runtime.daemon import attach

_CONF = """
compose: [{mod_name: wrp_cte_core, pool_name: served}]
storage: [{path: "ram::served", capacity_limit: 512m}]
"""
_SIZES = {"4k": 4 << 10, "64k": 64 << 10, "1m": 1 << 20, "16m": 16 << 20}


def compared(runtime, nbytes, seconds):
    """Microseconds and ratios of one length of blobs."""
    data, pool = np.random.default_rng(nbytes).integers(0, 256, nbytes, np.uint8), runtime.pool("served")
    out, copy = np.empty_like(data), np.empty_like(data)
    with Store.attach(runtime) as store:
        store.put("t", "blob", data)
        found = in_turns({"task": lambda: pool.call(DROP, 0), "memcpy": lambda: np.copyto(copy, data), "put": lambda: store.put("t", "blob", data),
                          "get": lambda: store.get("t", "blob"), "get_into": lambda: store.get("t", "blob", out=out), "size": lambda: store.size("t", "blob")}, seconds)
    assert np.array_equal(out, data)
    against = "task" if nbytes <= 64 << 10 else "memcpy"
    return {**{f"{name}_us": round(1e6 * value, 1) for name, value in found.items()},
            **{f"{name}_ratio_to_{against}": round(found[against] / found[name], 3) for name in ("put", "get", "get_into")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each length")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    before, name = setting(), f"served-{os.getpid()}"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as conf:
        conf.write(_CONF)
        conf.flush()
        call = [sys.executable, "-m", "wrp.runtime.commands.cli", "start", "--name", name, "--conf", conf.name]
        daemon = subprocess.Popen(call, env={**environment(), "WRP_STORE": ""}, stdout=subprocess.DEVNULL)
        try:
            ready(name, daemon, 60).close()
            with attach(name) as runtime:
                rows = {size: compared(runtime, nbytes, arguments.seconds) for size, nbytes in _SIZES.items()}
        finally:
            daemon.terminate()
            daemon.wait(30)
    write(arguments.out, {"setting": before, "rows": rows})


if __name__ == "__main__":
    main()
