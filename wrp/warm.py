"""Compiles every kernel of tasks, pools and devices into the cache, by running a tiny runtime once. Used at set-up."""

import os
import tempfile

from wrp.comm.ranks.solo import Solo
from wrp.runtime import admin, bdev
from wrp.runtime.config import Config
from wrp.runtime.runtime import Runtime

_CAPACITY = 8 << 20
_NBYTES = 128 << 10


def main():
    """Run every kind of call once, in this process alone."""
    with tempfile.TemporaryDirectory() as folder, Runtime(Solo(), Config.default()) as runtime:
        pool = runtime.pool("admin", "admin")
        for method in (admin.MONITOR, admin.FLUSH):
            pool.call(method)
        for kind in ("ram", "file"):
            _use(runtime.device(f"warm.{kind}", kind, _CAPACITY, os.path.join(folder, "data")))
            runtime.pool(f"warm.{kind}", "bdev").call(bdev.GET_STATS)


def _use(device):
    device.claim([(0, 4096)])
    offset = device.lease(_NBYTES)
    device.write(offset, b"\1" * _NBYTES)
    device.read(offset, bytearray(_NBYTES))
    device.give_back(offset, _NBYTES)
    device.give_back(0, 4096)


if __name__ == "__main__":
    main()
