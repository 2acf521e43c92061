"""monitor: workers, lanes, pools and devices of a daemon, drawn again and again on a terminal, else as plain lines."""

import json
import sys
import time

from wrp.comm.sizes import format_size
from wrp.errors import UsageError
from wrp.runtime.commands.output import table
from wrp.runtime.daemon.view import View

_CLEAR = "\x1b[H\x1b[J"


def monitor(args):
    """Look every `args.interval` seconds until the daemon ends; once with `args.once`. Local."""
    if not 0 < args.interval <= 86400:
        raise UsageError(f"--interval {args.interval:g}: give a positive number of seconds")
    before = None
    with View(args.name) as view:
        while True:
            view.check_alive()
            now = sample(view)
            print(json.dumps(now) if args.json else _drawn(now, before, args.once), flush=True)
            if args.once:
                return
            before = now
            time.sleep(args.interval)


def sample(view):
    """What the daemon looks like now, as a dictionary for JSON."""
    return {"time": time.time(), **view.status(), "workers": view.workers(), "pools": view.pools()}


def _drawn(now, before, once):
    lines = list(_lines(now, before))
    return (_CLEAR if sys.stdout.isatty() and not once else "") + "\n".join(lines)


def _lines(now, before):
    yield (f"{time.strftime('%H:%M:%S')}  {now['name']}: {now['state']}, {now['ranks_on_node']} of {now['ranks']} ranks, "
           f"{len(now['attached'])} attached, up {now['uptime_s']:g} s")
    rows = [(worker["lane"], worker["rank"], worker["pid"], worker["kind"], worker["waiting"], worker["done"],
             _rate(worker, now, before), worker["wakeups"]) for worker in now["workers"]]
    yield from table(("lane", "rank", "pid", "worker", "waiting", "done", "tasks/s", "wakeups"), rows)
    rows = [(pool["name"], pool["id"], pool["module"], pool["lane"], *_device(pool)) for pool in now["pools"]]
    yield from table(("pool", "id", "module", "lane", "device", "capacity", "free", "written", "read"), rows)


def _rate(worker, now, before):
    if before is None or len(before["workers"]) <= worker["lane"]:
        return "-"
    done = worker["done"] - before["workers"][worker["lane"]]["done"]
    return f"{done / max(now['time'] - before['time'], 1e-9):.0f}"


def _device(pool):
    if "kind" not in pool:
        return ("",) * 5
    return (pool["kind"], *(format_size(pool[key]) for key in ("capacity", "free", "written", "read")))
