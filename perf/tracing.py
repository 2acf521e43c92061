"""What the trace of the workers costs: tasks of one process with it and without, by turns.

    python perf/tracing.py [--seconds S] [--out FILE]

The ratio is the median of those of pairs, one round with the trace and one without right after each other: time with it / time without. The bar is 1.03. Beside it stands the
same of processor time of all threads, which others that use the cores disturb less.
"""

import argparse
import statistics
import time

from timing import setting, write
from wrp.comm.ranks.solo import Solo
from wrp.runtime import admin
from wrp.runtime.config import Config
from wrp.runtime.meter.reading import Meter
from wrp.runtime.runtime import Runtime

_CALLS, _BATCHES, _BATCH = 1000, 100, 64
_BAR = 1.03


def compared(work, tasks, meter, seconds):
    """{ns of a task without and with the trace, their ratio and that of processor time, rounds} of `work()`, which runs `tasks` tasks."""
    taken, used, until = {False: [], True: []}, {False: [], True: []}, time.perf_counter() + seconds
    while time.perf_counter() < until or len(taken[True]) < 5:
        for is_on in (False, True) if len(taken[True]) % 2 else (True, False):       # neither is always the first
            meter.start_trace()         # in both: what it does to backing and caches isn't what is measured
            if not is_on:
                meter.stop_trace()
            began, before = time.perf_counter(), time.process_time()
            work()
            used[is_on].append(time.process_time() - before)
            taken[is_on].append(time.perf_counter() - began)
    meter.stop_trace()
    off, on = (statistics.median(taken[is_on]) / tasks * 1e9 for is_on in (False, True))
    ratio, processor = (statistics.median(with_it / without for with_it, without in zip(each[True], each[False])) for each in (taken, used))
    return {"off_ns": round(off), "on_ns": round(on), "ratio": round(ratio, 4), "processor_ratio": round(processor, 4), "bar": f"<= {_BAR}", "met": ratio <= _BAR,
            "rounds": len(taken[True])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of each comparison")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    before = setting()
    with Runtime(Solo(), Config.default()) as runtime:
        pool, meter = runtime.pool("admin", "admin"), Meter(runtime.node)

        def calls():
            for _ in range(_CALLS):
                pool.call(admin.MONITOR)

        def batches():
            for _ in range(_BATCHES):
                pool.submit_many(admin.MONITOR, [(0,)] * _BATCH).wait()

        batches()
        found = {"call": compared(calls, _CALLS, meter, arguments.seconds),
                 f"{_BATCH} at once": compared(batches, _BATCHES * _BATCH, meter, arguments.seconds)}
    write(arguments.out, {"setting": before, "compared": found})


if __name__ == "__main__":
    main()
