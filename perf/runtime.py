"""The runtime's tasks against the plain machine, by `wrp_run_thrpt_benchmark` with two ranks: worker and client are different processes.
Tasks, barriers and bytes between nodes, against the same MPI, with two ranks that are a node each.

    python perf/runtime.py [--seconds S] [--out FILE]

Each ratio is of numbers of one run. The bars are for two quiet cores; the load before is in the setting.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

from ingest import environment
from timing import setting, write

RUNS = {
    "latency": ["--test-case", "latency", "--output-dir", "ram"],
    "bdev_task_alloc": ["--test-case", "bdev_task_alloc", "--output-dir", "ram"],
    "bdev_io ram 1 MiB": ["--test-case", "bdev_io", "--io-size", "1m", "--output-dir", "ram"],
    "bdev_io file 1 MiB": ["--test-case", "bdev_io", "--io-size", "1m"],
}


def launcher():
    """The mpirun beside this Python, else that on PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "mpirun")
    return beside if os.path.exists(beside) else shutil.which("mpirun")


def measured(options, seconds, folder, **variables):
    """The JSON of one run of two ranks, with these environment variables."""
    if "--output-dir" not in options:
        options = [*options, "--output-dir", os.path.join(folder, "out")]
    call = [launcher(), "-n", "2", sys.executable, "-m", "wrp.runtime.bench.cli", *options, "--threads", "1", "--duration", str(seconds), "--json"]
    done = subprocess.run(call, text=True, env={**environment(), **variables}, stdout=subprocess.PIPE, timeout=120 + 4 * seconds, check=True)
    return json.loads(done.stdout)


def compared(results):
    """{what: {value, bar, met}}."""
    latency, apart = results["latency"], results["nodes"]["ratios"]
    found = {
        "round trip to another node, jitted client / MPI's put + get": (apart["remote_round_trip_to_put_get"], "<=", 3),
        "barrier over a pool on one node / MPI_Barrier": (latency["ratios"].get("meeting_barrier_to_mpi_barrier"), "<=", 3),
        "barrier over a pool between nodes / MPI_Barrier": (apart["meeting_barrier_to_mpi_barrier"], "<=", 3),
        "64 MiB from another node / MPI's get": (apart["remote_get_to_mpi_get"], ">=", 0.8),
        "round trip of a jitted client / ping-pong": (latency["ratios"].get("round_trip_to_ping_pong"), "<=", 4),
        "Pool.call from Python, p50 us": (latency["python"]["call_ns"]["p50"] / 1000, "<=", 6),
        "64 outstanding from Python, tasks/s": (latency["python"]["tasks_per_s"], ">=", 500_000),
        "bdev_io on ram, 1 MiB / memcpy": (results["bdev_io ram 1 MiB"]["ratios"]["bdev_io_to_memcpy"], ">=", 0.8),
        "bdev_io on a file, 1 MiB / pwrite": (results["bdev_io file 1 MiB"]["ratios"]["bdev_io_to_pwrite"], ">=", 0.9),
    }
    return {name: {"value": value and round(value, 3), "bar": f"{sign} {bar}", "met": value is not None and (value <= bar if sign == "<=" else value >= bar)}
            for name, (value, sign, bar) in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each run")
    parser.add_argument("--folder", help="where the file is written (default: a temporary folder)")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    before = setting()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        results = {name: measured(options, arguments.seconds, folder) for name, options in RUNS.items()}
        results["nodes"] = measured(RUNS["latency"], arguments.seconds, folder, WRP_RANKS_PER_NODE="1")
    write(arguments.out, {"setting": before, "compared": compared(results), "runs": results})


if __name__ == "__main__":
    main()
