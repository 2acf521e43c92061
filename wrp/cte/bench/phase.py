"""One phase of the benchmark: all threads of all ranks begin together. Gives what each did; knows no put or get."""

import os
import threading
from time import perf_counter_ns

from wrp.errors import WrpError
from wrp.runtime.bench.samples import Samples

_BEGIN_S = 60.0


def run(ranks, what, functions):
    """Call each function() in a thread of its own, all at once: [{"start", "end" (ns, this node's clock), "samples"}]. Collective.

    Each function returns its durations in ns. The first error is raised, on every rank.
    """
    ranks.barrier(f"every client is ready to {what}")
    with ranks.agreed(f"running the clients that {what}"):
        return _together(functions)


def _together(functions):
    gate, done, errors = threading.Barrier(len(functions)), [None] * len(functions), []

    def one(number, function):
        try:
            gate.wait(_BEGIN_S)
        except threading.BrokenBarrierError:
            errors.append(WrpError(f"not all of the {len(functions)} clients of process {os.getpid()} have begun within {_BEGIN_S:g} s: fewer threads, or a machine with less to do"))
            return
        start = perf_counter_ns()
        try:
            durations = function()
        except BaseException as error:          # told by the thread that waits
            errors.append(error)
            return
        done[number] = {"start": start, "end": perf_counter_ns(), "durations": durations}
    threads = [threading.Thread(target=one, args=each, name="wrp bench") for each in enumerate(functions)]
    try:
        for thread in threads:
            thread.start()
    except BaseException:
        gate.abort()                            # those that have begun don't wait for the others
        raise
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [{"start": each["start"], "end": each["end"], "samples": Samples.of(each["durations"])} for each in done]


def figures(ranks, found, nbytes, failed):
    """The phase over all ranks, the same on each. Collective. nbytes: of each thread; failed: operations of this rank."""
    parts = ranks.gather((found, failed), "what the clients have done")
    threads = [each for done, _ in parts for each in done]
    samples, failures = Samples.merged([each["samples"] for each in threads]), sum(count for _, count in parts)
    elapsed_ns = max(_elapsed_ns([part] if ranks.nodes > 1 else parts) for part in parts)
    speeds = [nbytes / (each["end"] - each["start"]) * 1e3 for each in threads]
    good = (len(samples) - failures) / len(samples)
    return {"operations": len(samples), "failed": failures, "elapsed_s": elapsed_ns / 1e9,
            "thread_MB_per_s": {"min": min(speeds), "max": max(speeds), "avg": sum(speeds) / len(speeds)},
            "MB_per_s": good * nbytes * len(threads) / elapsed_ns * 1e3, "operations_per_s": good * len(samples) / elapsed_ns * 1e9,
            "latency_ns": samples.summary()}


def _elapsed_ns(parts):
    """From the common start to the last end, by the clock of one node."""
    threads = [each for done, _ in parts for each in done]
    return max(each["end"] for each in threads) - min(each["start"] for each in threads)
