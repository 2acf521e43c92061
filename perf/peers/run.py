"""The same work by others, us : them: iowarp-core in an environment of its own, Redis where `redis-server` is on PATH.

    python perf/peers/run.py [--seconds S] [--environment DIR] [--out FILE]

Everybody is run one after the other on the same machine with one client. What can't be installed or run here is said in the result.
iowarp-core's latency is its elapsed time / operations of one thread, so ours stands beside it computed in the same way.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(_HERE))

from environments import FOLDER, environment_with, redis_server, server, versions  # noqa: E402
from ingest import environment  # noqa: E402
from runtime import launcher  # noqa: E402
from timing import setting, write  # noqa: E402

CASES = {
    "latency": ["--test-case", "latency"],
    "bdev_allocation 4 KiB": ["--test-case", "bdev_allocation"],
    "bdev_io ram 4 KiB": ["--test-case", "bdev_io", "--io-size", "4k"],
    "bdev_io ram 1 MiB": ["--test-case", "bdev_io", "--io-size", "1m"],
}
_RATE = re.compile(r"(?:Throughput|IOPS):\s*([\d.eE+]+)")


def ours(options, seconds):
    """Operations per second with a worker in another process."""
    done = subprocess.run([launcher(), "-n", "2", sys.executable, "-m", "wrp.runtime.bench.cli", *_common(options, seconds), "--json"],
                          env=environment(), stdout=subprocess.PIPE, text=True, check=True, timeout=120 + 4 * seconds)
    found = json.loads(done.stdout)["together"]
    return {"per_s": found["iops"], "mean_us": 1e6 / found["iops"], "p50_us": found["latency_ns"]["p50"] / 1000}


def _common(options, seconds):
    return [*options, "--threads", "1", "--duration", str(seconds), "--output-dir", "ram"]


def iowarp(folder, seconds):
    """{case: {...}} of iowarp-core, and its version."""
    programs = environment_with(folder, "iowarp-core")
    environ = {**os.environ, "PATH": programs + os.pathsep + os.environ["PATH"]}
    found = {"version": versions(programs)["iowarp-core"]}
    with server([os.path.join(programs, "clio_run"), "start"], env=environ):
        time.sleep(5)               # its clients wait for it up to 30 s, noisily
        for name, options in CASES.items():
            done = subprocess.run([os.path.join(programs, "clio_run_thrpt_bench"), *_common(options, seconds)], env=environ, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 + 4 * seconds)
            rate = _RATE.search(done.stdout)
            found[name] = {"per_s": float(rate.group(1)), "mean_us": 1e6 / float(rate.group(1))} if done.returncode == 0 and rate else \
                {"failed": done.returncode, "said": done.stdout[-500:]}
        subprocess.run([os.path.join(programs, "clio_run"), "stop"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return found


def redis(seconds):
    """PING and SET of 4 KiB over a Unix socket with one client, or why not."""
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        return {"skipped": "redis-server or redis-benchmark isn't on PATH"}
    found = {}
    with redis_server() as path:
        for test in ("ping_mbulk", "set"):
            call = ["redis-benchmark", "-s", path, "-c", "1", "-n", str(int(20_000 * seconds)), "-d", "4096", "-t", test, "--csv"]
            out = subprocess.run(call, text=True, stdout=subprocess.PIPE, check=True, timeout=120).stdout
            rate = float(out.splitlines()[-1].split(",")[1].strip('"'))
            found[test] = {"per_s": rate, "mean_us": 1e6 / rate}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each run")
    parser.add_argument("--environment", default=os.path.join(FOLDER, "iowarp"), help="where iowarp-core is installed")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    result = {"setting": setting(), "ours": {name: ours(options, arguments.seconds) for name, options in CASES.items()}}
    try:
        result["iowarp-core"] = iowarp(arguments.environment, arguments.seconds)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
        result["iowarp-core"] = {"failed": str(error)}
    result["redis"] = redis(arguments.seconds)
    result["ours : iowarp-core, operations per second"] = {
        name: round(result["ours"][name]["per_s"] / theirs["per_s"], 2)
        for name in CASES if "per_s" in (theirs := result["iowarp-core"].get(name, {}))}
    write(arguments.out, result)


if __name__ == "__main__":
    main()
