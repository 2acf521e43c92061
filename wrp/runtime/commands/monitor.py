"""monitor: workers, lanes, pools, devices and latencies of a daemon, or a trace of its workers, drawn again and again on a terminal, else as plain lines."""

import json
import sys
import time

from wrp.comm.command import ReaderGone, say
from wrp.comm.sizes import format_size
from wrp.errors import UsageError
from wrp.runtime.commands import status
from wrp.runtime.commands.output import show, table
from wrp.runtime.daemon.view import View
from wrp.runtime.devices.safe.seen import describe

_TIMES = ("mean_ns", "p50_ns", "p99_ns", "p999_ns", "max_ns")
_CLEAR = "\x1b[H\x1b[J"


def monitor(args):
    """Look every `args.interval` seconds until the daemon ends; once with `args.once`. Local."""
    if not 0 < args.interval <= 86400:
        raise UsageError(f"--interval {args.interval:g}: give a positive number of seconds, at most 86400")
    before = None
    if args.trace:
        return _trace(args)
    with View(args.name) as view:
        while True:
            view.check_alive()
            now = sample(view)
            try:
                say(json.dumps(now) if args.json else _drawn(now, before, args))
            except ReaderGone:
                if args.once:
                    raise
                return                      # `wrp-runtime monitor | head` has seen what it wanted
            if args.once:
                return
            before = now
            time.sleep(args.interval)


def sample(view):
    """What the daemon looks like now, as a dictionary for JSON."""
    return {"time": time.time(), **view.status(), "workers": view.workers(), "pools": view.pools(), "methods": view.methods()}


def _trace(args):
    """Have all workers of the node note their steps for one interval, and write them as a Chrome trace."""
    with View(args.name) as view:
        meter = view.meter()
        meter.start_trace()
        try:
            time.sleep(args.interval)
        finally:
            meter.stop_trace()
        found = meter.trace()
    try:
        with open(args.trace, "w", encoding="utf-8") as out:
            json.dump(found, out)
    except OSError as error:
        raise UsageError(f"--trace {args.trace}: can't be written ({error.strerror})") from error
    steps = sum(event["ph"] == "X" for event in found["traceEvents"])
    show({"trace": args.trace, "steps": steps}, [f"{args.trace}: {steps} steps of {args.interval:g} s; open it in Perfetto or chrome://tracing"], args.json)


def _drawn(now, before, args):
    lines = [*(status.lines(now) if args.verbose else ()), *_lines(now, before)]
    return (_CLEAR if sys.stdout.isatty() and not args.once else "") + "\n".join(lines)


def _lines(now, before):
    yield (f"{time.strftime('%H:%M:%S')}  {now['name']}: {now['state']}, {now['ranks_on_node']} of {now['ranks']} ranks, "
           f"{len(now['attached'])} attached, up {now['uptime_s']:g} s")
    rows = [(worker["lane"], worker["rank"], worker["pid"], worker["kind"], worker["waiting"], worker["done"],
             _rate(worker, now, before), worker["wakeups"]) for worker in now["workers"]]
    yield from table(("lane", "rank", "pid", "worker", "waiting", "done", "tasks/s", "wakeups"), rows)
    rows = [(pool["name"], pool["id"], pool["module"], ",".join(map(str, pool["lanes"])), pool["containers"], *_device(pool)) for pool in now["pools"]]
    yield from table(("pool", "id", "module", "lanes", "containers", "device", "capacity", "free", "written", "read"), rows)
    for pool in now["pools"]:
        if pool.get("safe"):
            yield f"{pool['name']}: {describe(pool['safe'])}"
    rows = [(f"{each['pool']} method {each['method']}", each["count"], *(f"{each[key] / 1000:.4g}" for key in _TIMES)) for each in now["methods"]]
    yield from table(("tasks of", "ended", "mean us", "p50", "p99", "p99.9", "max"), rows)


def _rate(worker, now, before):
    if before is None or len(before["workers"]) <= worker["lane"]:
        return "-"
    done = worker["done"] - before["workers"][worker["lane"]]["done"]
    return f"{done / max(now['time'] - before['time'], 1e-9):.0f}"


def _device(pool):
    if "kind" not in pool:
        return ("",) * 5
    return (pool["kind"], *(format_size(pool[key]) for key in ("capacity", "free", "written", "read")))
