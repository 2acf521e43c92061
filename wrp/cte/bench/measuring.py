"""One run of the benchmark: its store, its clients, plain copies of the same bytes, and the figures of all. The command is in cli.py."""

import os

import numpy as np

from wrp.comm.sizes import format_size
from wrp.cte import Store
from wrp.cte.bench import loops, phase
from wrp.cte.bench.work import Work
from wrp.errors import UsageError, WrpError
from wrp.runtime.config import load
from wrp.runtime.devices import share_of_memory

_CASES = {"Put": ("put",), "Get": ("get",), "PutGet": ("put", "get")}
_REGION = 64 << 20              # bytes that the plain copies of a thread rotate over, at most
_BESIDE = 256                   # bytes of a blob's name, and of its latencies while they are sorted


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
        _check_index(store, options)
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


def _check_index(store, options):
    """UsageError for more blobs than the catalogs of the nodes have room for the names of. Collective."""
    ranks, found = store.ranks, None
    with ranks.agreed("looking for room for the names"):
        if ranks.local_rank == 0:
            found = store.statistics().index
    room = sum(index.most - index.names for index in ranks.gather(found, "room for names") if index)
    clients = ranks.size * options.threads
    with ranks.agreed("looking for room for the names"):
        if clients * (options.io_count + 1) > room:         # the clients' tags, too
            raise UsageError(f"{options.io_count} blobs of each of {clients} clients have {clients * (options.io_count + 1)} names with their tags, and the store has room for {room} more: "
                             "raise runtime.index_slots in the configuration (--config), or choose a smaller io_count")


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
