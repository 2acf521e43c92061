"""How long a daemon of 1, 4, 16, 64 ranks on one machine takes to be ready and to end, and what it costs while nobody uses it.

    python perf/startup.py [--ranks N,...] [--cold N,...] [--idle S] [--limit S] [--out FILE]

warm: kernels are in the cache; cold: a fresh cache, so one rank compiles and the others wait for it. Beside the seconds stands the processor
time of all ranks, which other work on the machine changes little. A daemon that isn't ready, or hasn't ended, by its limit is ended, and the
result says so instead of figures.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

from ingest import environment
from runtime import launcher
from timing import setting, write
from wrp.errors import WrpError
from wrp.runtime.daemon import leftovers
from wrp.runtime.daemon.view import View

_END_S = 20                     # for the launcher to end its ranks
_TICK = os.sysconf("SC_CLK_TCK")


def measured(count, idle_s, limit_s, cache=None):
    """Figures of one daemon of `count` ranks, with this folder for kernels; {"late": what hadn't come by its limit} where it takes too long."""
    name = f"startup-{os.getpid()}"
    call = [launcher(), "-n", str(count), sys.executable, "-m", "wrp.runtime.commands.cli", "start", "--name", name]
    before, began = children_s(), time.monotonic()
    job = subprocess.Popen(call, env={**environment(), **({"WRP_CACHE_DIR": cache} if cache else {})}, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        with ready(name, job, limit_s) as view:
            found = {"ready_s": time.monotonic() - began, **idle(view.about.pids, idle_s)}
            began = time.monotonic()
            view.stop(limit_s)
            job.wait(limit_s)
        found |= {"end_s": time.monotonic() - began, "whole_processor_s": children_s() - before - idle_s * found["idle_cores"]}
        return {key: round(value, 3) for key, value in found.items()}
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        return {"late": str(error)}
    finally:
        end(job, name)


def ready(name, job, limit_s):
    """The View of a daemon once it is ready; TimeoutError after `limit_s`."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if job.poll() is not None:
            raise SystemExit(f"the daemon of {job.args[2]} ranks has ended with code {job.returncode} before it was ready: see its messages above")
        try:
            view = View(name)
            if view.status()["state"] == "ready":
                return view
            view.close()
        except WrpError:
            pass                        # not there yet
        time.sleep(0.02)
    raise TimeoutError(f"not ready after {limit_s:g} s")


def idle(pids, seconds):
    """What the daemon took until now, and takes while nobody uses it."""
    processor, switches = used(pids)
    time.sleep(seconds)
    later = used(pids)
    return {"ready_processor_s": processor, "idle_cores": (later[0] - processor) / seconds, "idle_switches_per_s": (later[1] - switches) / seconds}


def end(job, name):
    """See that nothing is left: the launcher ends its ranks when it is told to, and may leave the memory of one that it had to kill."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if job.poll() is None:
            job.send_signal(number)
            try:
                job.wait(_END_S)
            except subprocess.TimeoutExpired:
                pass
    for left in leftovers.find():
        if left.name == name and left.pid == 0:
            leftovers.remove(left)


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


def numbers(text):
    """The counts of "1,4,16"."""
    return [int(part) for part in text.split(",") if part]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ranks", type=numbers, default="1,4,16,64", help="ranks of the daemons with warm kernels, by commas")
    parser.add_argument("--cold", type=numbers, default="1,4,16,64", help="ranks of those with a fresh cache; '' for none")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds that each is left alone")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds that each may take to be ready, and to end")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    result = {"setting": setting(), "warm": {}, "cold": {}}
    measured(1, 0.1, arguments.limit)           # kernels are in the cache, files in memory
    for count in arguments.ranks:
        result["warm"][count] = measured(count, arguments.idle, arguments.limit)
    for count in arguments.cold:
        with tempfile.TemporaryDirectory() as cache:
            result["cold"][count] = measured(count, 1.0, arguments.limit, cache)
    result["setting"]["load_after"] = round(os.getloadavg()[0], 2)
    write(arguments.out, result)


if __name__ == "__main__":
    main()
