"""How long a daemon of 1, 4, 16, 64 ranks on one machine takes to be ready and to end, and what it costs while nobody uses it.

    python perf/startup.py [--ranks N ...] [--cold N ...] [--idle S] [--out FILE]

warm: kernels are in the cache; cold: a fresh cache, so one rank compiles and the others wait for it. Beside the seconds stands the processor
time of all ranks, which other work on the machine changes little.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

from ingest import environment
from runtime import launcher
from timing import setting, write
from wrp.errors import WrpError
from wrp.runtime.daemon.view import View

_LIMIT_S = 900
_TICK = os.sysconf("SC_CLK_TCK")


def measured(count, idle_s, cache=None):
    """Figures of one daemon of `count` ranks, with this folder for kernels."""
    name = f"startup-{os.getpid()}"
    call = [launcher(), "-n", str(count), sys.executable, "-m", "wrp.runtime.commands.cli", "start", "--name", name]
    before, began = children_s(), time.monotonic()
    job = subprocess.Popen(call, env={**environment(), **({"WRP_CACHE_DIR": cache} if cache else {})}, stdout=subprocess.DEVNULL, start_new_session=True)
    with ready(name, job) as view:
        found = {"ready_s": time.monotonic() - began}
        pids = view.about.pids
        processor, switches = used(pids)
        time.sleep(idle_s)
        later = used(pids)
        found |= {"ready_processor_s": processor, "idle_cores": (later[0] - processor) / idle_s, "idle_switches_per_s": (later[1] - switches) / idle_s}
        began = time.monotonic()
        view.stop(_LIMIT_S)
        job.wait(_LIMIT_S)
    found |= {"end_s": time.monotonic() - began, "whole_processor_s": children_s() - before - idle_s * found["idle_cores"]}
    return {key: round(value, 3) for key, value in found.items()}


def ready(name, job):
    """The View of a daemon once it is ready."""
    until = time.monotonic() + _LIMIT_S
    while job.poll() is None and time.monotonic() < until:
        try:
            view = View(name)
            if view.status()["state"] == "ready":
                return view
            view.close()
        except WrpError:
            pass                        # not there yet
        time.sleep(0.02)
    job.kill()
    raise SystemExit(f"the daemon of {job.args[2]} ranks doesn't start")


def used(pids):
    """(seconds of processors, switches of context) of processes up to now."""
    ticks = switches = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status") as file:
                switches += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return ticks / _TICK, switches


def children_s():
    """Processor time of all children that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 4, 16, 64], help="ranks of the daemons with warm kernels")
    parser.add_argument("--cold", type=int, nargs="*", default=[1, 4, 16, 64], help="ranks of those with a fresh cache")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds that each is left alone")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    before = setting()
    warm = {count: measured(count, arguments.idle) for count in arguments.ranks}
    cold = {}
    for count in arguments.cold:
        with tempfile.TemporaryDirectory() as cache:
            cold[count] = measured(count, 1.0, cache)
    write(arguments.out, {"setting": before, "warm": warm, "cold": cold})


if __name__ == "__main__":
    main()
