"""The command ``wrp_cte_bench``: puts and gets of blobs by several clients, beside plain copies of the same bytes in the same run."""

import os
import sys

import numpy as np

from wrp.comm.command import Parser, show, together
from wrp.comm.sizes import format_size, parse_size
from wrp.cte import Store
from wrp.cte.bench import loops, phase
from wrp.cte.bench.work import Work
from wrp.errors import UsageError, WrpError
from wrp.runtime.config import load
from wrp.runtime.devices import share_of_memory

_CASES = {"Put": ("put",), "Get": ("get",), "PutGet": ("put", "get")}
_REGION = 64 << 20              # bytes that the plain copies of a thread rotate over, at most
_MOST = 1 << 40
_BESIDE = 256                   # bytes of a blob's name, and of its latencies while they are sorted


def main(arguments=None):
    """Run the command; returns its exit code (see wrp.errors). Collective over the ranks of the job."""
    return together(_parser(), parse, _run, arguments)


def _run(ranks, options):
    result = measure(ranks, options)
    show(ranks, result, options.json, _lines(result))
    with ranks.agreed("looking at what went wrong"):
        if result["wrong"]:
            raise WrpError(f"{result['wrong']} of {result['blobs']} blobs didn't have the bytes that were put")
        for name, found in result["phases"].items():
            if found["failed"]:
                raise WrpError(f"{found['failed']} of {found['operations']} {name}s failed, first: {found['reason']}")


def parse(arguments):
    """The options, io_size in bytes. Raises UsageError."""
    options = _parser().parse_args(arguments)
    options.io_size = parse_size(options.io_size)
    if not (1 <= options.threads <= 256 and 1 <= options.depth <= 4096 and 1 <= options.io_count and 1 <= options.io_size):
        raise UsageError("threads must be 1 to 256, depth 1 to 4096, io_size and io_count 1 or more")
    if options.threads * options.io_count * options.io_size > _MOST:
        raise UsageError(f"{options.threads} threads of {options.io_count} blobs of {options.io_size} bytes are more than {format_size(_MOST)}")
    if options.jitted and (options.is_async or options.test_case == "Put"):
        raise UsageError("--jitted is for gets without --async: choose Get or PutGet")
    return options


def measure(ranks, options):
    """The result as a dictionary that JSON can say, the same on every rank. Collective. WrpError when no operation went well."""
    with ranks.agreed("looking for memory"):
        _check_memory(ranks, options)
    with ranks.agreed("reading the configuration"):
        config = load(options.config) if options.config else None
    with Store.open(options.store, ranks, config) as store:
        with ranks.agreed("looking for ram"):
            if options.jitted and getattr(store, "_direct", None) is None:
                raise UsageError("--jitted gets from ram of this job's own: add a ram tier to `storage` where the configuration gives none, and name no daemon with --store")
        works = [Work(store, options, number) for number in range(options.threads)]
        _compress(store, options, works)
        with ranks.agreed("warming up"):
            for work in works:
                work.warm_up()
        with ranks.agreed("removing what has warmed up"):
            for work in works:
                work.cool_down()
        phases = {"memcpy": phase.figures(ranks, phase.run(ranks, "copy", _copies(options)), options.io_size * options.io_count, 0)}
        for name in _CASES[options.test_case]:
            phases[name] = _measured(store, options, works, name)
        wrong = _ended(store, options, works)
    ratios = {f"{name}_to_memcpy": phases[name]["MB_per_s"] / phases["memcpy"]["MB_per_s"] for name in _CASES[options.test_case]}
    return {"test_case": options.test_case, "size": ranks.size, "nodes": ranks.nodes, "cores": len(os.sched_getaffinity(0)),
            "load": os.getloadavg()[0], "options": vars(options), "blobs": ranks.size * options.threads * options.io_count, "phases": phases,
            "ratios": ratios, "verified": options.verify, "wrong": wrong}


def _check_memory(ranks, options):
    """UsageError for data of the clients of this node that its memory doesn't hold: no system says so before it ends a process."""
    rows = 2 * options.depth + min(options.io_count, max(2, _REGION // options.io_size)) + 1
    data, beside = rows * options.io_size, options.io_count * _BESIDE
    nbytes, room = ranks.local_size * options.threads * (data + beside), share_of_memory(None)
    if nbytes > room:
        each, smaller = (f"{rows} blobs of {format_size(options.io_size)}", "io_size or depth") if data > beside else \
            (f"the names and latencies of {options.io_count} blobs", "io_count")
        raise UsageError(f"the clients of a node would hold {format_size(nbytes)}, {each} each, and have {format_size(room)} of its memory: "
                         f"choose a smaller {smaller}, or fewer threads")


def _compress(store, options, works):
    if options.compression:
        for tag in _all_tags(store, works):
            store.set_compression(tag, options.compression)


def _all_tags(store, works):
    """Of all ranks. Collective."""
    return sorted(tag for tags in store.ranks.gather([work.tag for work in works], "tags of the clients") for tag in tags)


def _copies(options):
    """For each thread the plain copies of as many bytes, between places that were touched before."""
    count = min(options.io_count, max(2, _REGION // options.io_size))
    places = [(np.ones((count, options.io_size), np.uint8), np.ones(options.io_size, np.uint8)) for _ in range(options.threads)]

    def copies(target, source):
        durations = np.zeros(options.io_count, np.int64)
        loops.copy_loop(target, source, durations)
        return durations
    loops.copy_loop(*places[0], np.zeros(1, np.int64))          # loads the kernel
    return [lambda place=place: copies(*place) for place in places]


def _measured(store, options, works, name):
    """The figures of a phase. Collective. What a get needs is put before; a put into a folder is flushed after, which is timed apart."""
    ranks = store.ranks
    with ranks.agreed("putting what is to be got"):
        for work in works if name == "get" else ():
            if not work.are_there():
                work.put()
                work.failed = 0
    before = sum(work.failed for work in works)
    done = phase.run(ranks, name, [getattr(work, name) for work in works])
    found = phase.figures(ranks, done, options.io_size * options.io_count, sum(work.failed for work in works) - before)
    told = ranks.gather(next((str(work.error) for work in works if work.error), ""), "why operations failed")
    found["reason"] = next(filter(None, told), "a kernel can't get them" if found["failed"] else "")
    with ranks.agreed("looking at what went well"):
        if found["failed"] == found["operations"]:
            raise WrpError(f"no {name} of {options.test_case} went well: {found['reason']}")
    if name == "put" and options.store is not None:
        flush = phase.run(ranks, "flush", [lambda: (store.flush(), [0])[1]])
        found["flush_s"] = max(ranks.gather((flush[0]["end"] - flush[0]["start"]) / 1e9, "time of the flush"))
    return found


def _ended(store, options, works):
    """The number of wrong blobs, when they are removed. Collective."""
    with store.ranks.agreed("verifying and removing the blobs"):
        for work in works:
            if options.verify:
                work.verify()
    wrong = sum(store.ranks.gather(sum(work.wrong for work in works), "wrong blobs"))
    with store.ranks.agreed("removing the blobs"):
        for work in works:
            work.close()
    if options.compression:
        for tag in _all_tags(store, works):
            store.set_compression(tag, "none")
    return wrong


def _lines(result):
    """The result for people."""
    options = result["options"]
    yield (f"{result['test_case']}: {result['size']} ranks, {options['threads']} threads each, depth {options['depth']}, {options['io_count']} blobs of "
           f"{format_size(options['io_size'])} a thread")
    yield f"  puts go into memory that {'has no pages yet' if options['fresh'] else 'has its pages'}"
    for name, found in result["phases"].items():
        speeds, latency = found["thread_MB_per_s"], found["latency_ns"]
        yield (f"  {name}: {found['MB_per_s']:,.1f} MB/s together, {found['operations_per_s']:,.0f}/s, {found['elapsed_s'] * 1e3:,.2f} ms, {found['failed']} failed; "
               f"a thread: min {speeds['min']:,.1f}, max {speeds['max']:,.1f}, avg {speeds['avg']:,.1f} MB/s; "
               + ", ".join(f"{share} {value / 1e3:.2f} us" for share, value in latency.items())
               + (f"; flush {found['flush_s'] * 1e3:,.2f} ms" if "flush_s" in found else ""))
    for name, value in result["ratios"].items():
        yield f"  {name.replace('_', ' ')}: {value:.3f}"
    if result["verified"]:
        yield f"  verified: {result['blobs']} blobs, {result['wrong']} wrong"


def _case(text):
    """The test case of this name, whatever its case."""
    return next((name for name in _CASES if name.lower() == text.lower()), text)


def _parser():
    parser = Parser(prog="wrp_cte_bench", description="Puts and gets of blobs, and plain copies of the same bytes; collective over the ranks of a job.")
    add = parser.add_argument
    add("test_case", type=_case, choices=list(_CASES), help="Put, Get (of blobs that are put before, not timed), or PutGet: one after the other; in any case")
    add("threads", type=int, help="clients of each rank")
    add("depth", type=int, help="operations that a client hands over together; a latency is theirs")
    add("io_size", help="bytes of a blob, e.g. 4k")
    add("io_count", type=int, help="blobs of each client")
    add("--store", metavar="DIR", help="folder of the store, kept (default: memory)")
    add("--config", metavar="FILE", help="configuration (default: as for every command)")
    add("--compression", metavar="TEXT", help="of the tags, e.g. 'zstd fast' or dynamic")
    add("--async", dest="is_async", action="store_true", help="hand over by futures of the client instead of one call for many")
    add("--jitted", action="store_true", help="gets by a jitted loop of a client without the GIL")
    add("--fresh", action="store_true", help="put into memory that has no pages yet (default: all blobs are put once before, untimed, and removed)")
    add("--verify", action="store_true", help="read everything once more and compare it with what was put")
    add("--json", action="store_true", help="print the result as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
