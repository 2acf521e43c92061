"""A day of churn on a small device, short or long: leases and gives of all sizes, after which the free space is one run again.

    python tests/stress/churn.py --minutes M
"""

import argparse
import random
import sys
import time

from wrp.errors import OutOfSpace

_SIZES = (100, 4096, 5000, 70_000, 300_000, 1 << 20)


def churn(device, operations=None, until=None, seed=1):
    """Lease and give back at random, `operations` of them or until a time (s, monotonic): how many. The device is as before."""
    rng, held, done = random.Random(seed), [], 0
    while done < operations if operations else time.monotonic() < until:
        if held and rng.random() < 0.5:
            (device.give_back if rng.random() < 0.5 else device.swap_back)(*held.pop(rng.randrange(len(held))))
        else:
            nbytes = rng.choice(_SIZES)
            try:
                held.append((device.lease(nbytes), nbytes))
            except OutOfSpace:
                device.give_back(*held.pop(rng.randrange(len(held))))
        done += 1
    for offset, nbytes in held:
        device.give_back(offset, nbytes)
    assert device.free == device.capacity
    device._drain()
    assert device.lease(device.capacity) == 0           # one run
    device.give_back(0, device.capacity)
    return done


def main():
    from wrp.comm.ranks.solo import Solo
    from wrp.runtime.config import Config
    from wrp.runtime.runtime import Runtime
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    minutes = parser.parse_args().minutes
    with Runtime(Solo(), Config.default()) as runtime:
        for number, kind in enumerate(("noop", "ram")):
            device = runtime.device(kind, kind, 8 << 20)
            done = churn(device, until=time.monotonic() + 30 * minutes, seed=number)
            print(f"{kind}: {done:,} leases and gives; all of it is free again, in one run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
