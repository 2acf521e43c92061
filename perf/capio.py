"""Streaming between programs with the shim, against the plain file system: bytes, small files, single calls, starts of processes.

    python perf/capio.py [--nbytes 1g] [--busy 4] [--files 10000] [--calls 5000] [--rounds 3] [--folder DIR] [--out FILE]

Contenders take turns on a file system in memory and on one on a disk (--folder). What is plain runs without the shim where no server watches.
Unmanaged calls are those that don't concern CAPIO_DIR, and "open and close" is the mean of the two. A question to another process is what asking takes where
both sides sleep meanwhile. Opens are 200 us of computing apart; one after the other they also wait for what the server does about the close before. "apart"
is a writer and a reader at once that don't know of each other, on the plain file system: what these cores and this memory can do. "polling" are small files
read as CAPIO 2 does, without its server (capio_polling.c).
Who writes a large file finds memory that was in use just before (`used_memory`), mostly: so of each contender's rounds the fastest counts, what comes in between
only adds.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from capio_flow import Flow, end_at_sigterm, finish, used_memory
from timing import setting, write
from wrp.capio import shim
from wrp.comm.sizes import format_size, parse_size

PROGRAM = [sys.executable, "-I", str(Path(__file__).with_name("capio_program.py"))]
MEMORY = "/dev/shm"


def pairs(nbytes):
    """{name: (words of the writer, words of the reader)} of a path."""
    count = nbytes >> 20
    return {"python": (lambda path: [*PROGRAM, "write", path, nbytes, 0.0], lambda path: [*PROGRAM, "read", path, nbytes, 0.0]),
            "dd": (lambda path: ["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={count}", "status=none"],
                   lambda path: ["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"])}


def taken(flow, writer, reader, name, nbytes=0):
    """Seconds of writer and reader alone, one after the other, and of both at once, without us and through the server. nbytes: of a large file."""
    plain, managed, other = flow.plain / name, flow.managed / name, flow.plain / f"other-{name}"
    used_memory(flow.plain, nbytes)
    found = {"writer": flow.seconds((None, *writer(plain))), "reader": flow.seconds((None, *reader(plain)))}
    used_memory(flow.plain, nbytes)
    found["apart"] = flow.seconds((None, *writer(other)), (None, *reader(plain)))
    remove(plain)
    remove(other)
    used_memory(flow.plain, nbytes)
    found["at_once"] = flow.seconds(("writer", *writer(managed)), ("reader", *reader(managed)))
    remove(managed)
    return found


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def by_contender(rounds):
    """{contender: seconds of each round}."""
    return {name: [round(one[name], 4) for one in rounds] for name in rounds[0]}


def streams(flow, arguments):
    """{program: {contender: seconds}}, without and with computing."""
    nbytes, busy = parse_size(arguments.nbytes), float(arguments.busy)
    found = {program: by_contender([taken(flow, *both, f"f-{program}-{turn}", nbytes) for turn in range(2 * arguments.rounds - 1)])
             for program, both in pairs(nbytes).items()}
    found["python, computing"] = by_contender([taken(flow, lambda path: [*PROGRAM, "write", path, nbytes, busy],
                                                     lambda path: [*PROGRAM, "read", path, nbytes, busy], f"f-computing-{turn}", nbytes)
                                               for turn in range(max(1, arguments.rounds - 1))])
    return found


def small_files(flow, folder, arguments):
    """{contender: seconds} of many files of 4 KiB through a folder."""
    count, polling = arguments.files, compiled(folder, "capio_polling.c")

    def fill(path):
        return [*PROGRAM, "fill", path, count, 4096]

    def one(name):
        found, polled = taken(flow, fill, lambda path: [*PROGRAM, "drain", path, count, 4096], name), flow.plain / f"polled-{name}"
        found["polling"] = flow.seconds((None, *fill(polled)), (None, polling, "watch", polled, count), (None, polling, "read", polled, count, 4096))
        remove(polled)
        return found

    return by_contender([one(f"many-{turn}") for turn in range(arguments.rounds)])


def calls(flow, folder, count, rounds):
    """{call: {plain, shim}} in ns: what no server need know of (the fastest batch), opens below CAPIO_DIR and a read that has its bytes (medians)."""
    program, found = compiled(folder, "capio_calls.c"), {}
    outside = flow.plain / "outside"
    outside.write_bytes(bytes(4096))
    for call in ("read", "write", "stat", "open and close"):
        found[f"unmanaged {call}"] = by_turns(flow, "least_ns", rounds, lambda turn, _: (program, call, outside, count))
    # what was written is read before the table has room for newer files only
    for call, step in (("open-write", "writer"), ("open-read", "reader"), ("open-write at once", "writer"), ("open-read at once", "reader")):
        files = "f-one-{}-" if "once" in call else "f-{}-"
        found[call] = by_turns(flow, "median_ns", rounds, lambda turn, base: (program, call, base / files.format(turn), count), step)
    for number in range(count):         # of no declared name: only the server knows that nobody waits for them
        for folder in (flow.plain, flow.managed):
            (folder / f"undeclared-{number}").write_bytes(b"1")
    found["open-read asked"] = by_turns(flow, "median_ns", rounds, lambda turn, base: (program, "open-read", base / "undeclared-", count))
    found["question to another process"] = by_turns(flow, "median_ns", rounds, lambda turn, _: (program, "ask", outside, count), None)
    growing = flow.managed / "f-growing"
    holder = flow.start("writer", *PROGRAM, "hold", growing, 4096, stdin=subprocess.PIPE)
    found["read of a growing file"] = by_turns(flow, "least_ns", rounds, lambda turn, _: (program, "read", growing, count))
    holder.stdin.close()
    finish(holder)
    return found


def by_turns(flow, figure, rounds, words, step="reader"):
    """{plain, shim}: the least of rounds, or of medians their median; words(turn, the folder to be in). Without a step both are plain."""
    plain, managed = [], []
    for turn in range(rounds):
        managed.append(flow.figures(step, *words(turn, flow.managed))[figure])
        plain.append(flow.figures(None, *words(turn, flow.plain))[figure])
    best = min if figure == "least_ns" else statistics.median
    return {"plain": best(plain), "shim": best(managed)}


def compiled(folder, source):
    program = Path(folder, source).with_suffix("")
    subprocess.run([shim.compiler(), "-O2", "-o", program, Path(__file__).with_name(source)], check=True, timeout=120)
    return program


def starts(flow, count):
    """{plain, shim}: median ms from the start to the end of a program that does nothing."""
    both = [(flow.seconds((None, "/bin/true")), flow.seconds(("reader", "/bin/true"))) for _ in range(count)]
    return {name: round(1e3 * statistics.median(values), 3) for name, values in zip(("plain", "shim"), zip(*both))}


def ratio(took, alone):
    """Of the time at once to alone(writer's, reader's), of the fastest round of each."""
    return min(took["at_once"]) / alone(min(took["writer"]), min(took["reader"]))


def compared(places, call, start):
    """{what: {value, bar, met}}."""
    found = {}
    for place, parts in places.items():
        for program, took in parts["streams"].items():
            if "computing" in program:
                found[f"{program}, {place}: at once / one after the other"] = (ratio(took, float.__add__), "<=", 0.6)
            else:
                found[f"{program}, {place}: at once / the slower alone"] = (ratio(took, max), "<=", 1.15)
        took = parts["small_files"]
        found[f"small files, {place}: plain, one after the other / at once"] = (1 / ratio(took, float.__add__), ">=", 0.5)
        found[f"small files, {place}: polling / at once (or half of plain)"] = (min(took["polling"]) / min(took["at_once"]), ">=", 5)
    extra = {name: one["shim"] - one["plain"] for name, one in call.items()}
    found["unmanaged call, more by the shim, ns"] = (max(value for name, value in extra.items() if "unmanaged" in name), "<=", 50)
    for what, name in (("reading", "open-read"), ("writing", "open-write")):
        found[f"managed open for {what}, us"] = (call[name]["shim"] / 1e3, "<=", 40)
        found[f"managed open for {what}, one after the other, us"] = (call[f"{name} at once"]["shim"] / 1e3, "<=", 40)
    found["managed open for reading that has to ask, us"] = (call["open-read asked"]["shim"] / 1e3, "<=", 40)
    found["managed read that needn't wait, more by the shim, us"] = (extra["read of a growing file"] / 1e3, "<=", 1)
    found["start of a program, more by the shim, ms"] = (start["shim"] - start["plain"], "<=", 5)
    return {name: {"value": round(value, 3), "bar": f"{sign} {bar}", "met": value <= bar if sign == "<=" else value >= bar}
            for name, (value, sign, bar) in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nbytes", default="1g", help="size of the streamed file, whole MiB (default 1g)")
    parser.add_argument("--busy", type=float, default=4, help="seconds of computing on each side (default 4)")
    parser.add_argument("--files", type=int, default=10000, help="small files through a folder (default 10000)")
    parser.add_argument("--calls", type=int, default=5000, help="calls, or batches of 200 of them (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every contender, of bytes nearly twice as many (default 3)")
    parser.add_argument("--folder", help="a folder on a disk (default: a temporary one)")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    before, places = setting(), {}
    end_at_sigterm()
    if shim.compiler() is None:
        return write(arguments.out, {"setting": before, "skipped": "there is no C compiler, so no shim"})
    for place, parent in (("memory", MEMORY), ("disk", arguments.folder)):
        with tempfile.TemporaryDirectory(prefix="wrp-perf-", dir=parent) as folder, Flow(folder, arguments.files) as flow:
            places[place] = {"streams": streams(flow, arguments), "small_files": small_files(flow, folder, arguments)}
            if place == "memory":
                call, start = calls(flow, folder, arguments.calls, arguments.rounds), starts(flow, 20 * arguments.rounds)
    write(arguments.out, {"setting": before, "nbytes": format_size(parse_size(arguments.nbytes)), "files": arguments.files,
                          "compared": compared(places, call, start), "seconds": places, "call_ns": call, "start_ms": start})


if __name__ == "__main__":
    main()
