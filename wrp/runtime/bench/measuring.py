"""One run of the benchmark: its stage, turns of clients and of the machine without them, and the figures of all. The command is in cli.py."""

import os

from wrp.errors import WrpError
from wrp.runtime.bench import client, cores, meetings, nodes, plain, report
from wrp.runtime.bench.stage import Stage
from wrp.runtime.bench.turns import Turns

_ASIDE_S = (0.05, 1.0)          # least and most time of each measurement beside the clients


def measure(ranks, options):
    """The result as a dictionary that JSON can say, the same on every rank. Collective.

    options : what `parse` gave
    Raises WrpError when no operation went well, and what making the runtime raises.
    """
    crosses = ranks.nodes > 1 and options.attach is None
    meets = ranks.size > 1 and not crosses and options.attach is None
    in_c = ranks.share(_ping_pong_in_c(ranks), "a ping-pong in C")
    with cores.apart(ranks) as is_apart, Stage(ranks, options) as stage:
        turns = Turns(stage, _lead(stage))
        turns.take()
        result = _result(stage, turns, in_c, _python(stage))
        result["cores_apart"] = is_apart
        if crosses:
            result["nodes_apart"], ratios = nodes.measured(stage, _aside_s(options))
        elif meets:
            result["meetings"], ratios = meetings.measured(stage, _aside_s(options))
        result["ratios"].update(ratios if crosses or meets else {})
    if not result["together"]["operations"]:
        raise WrpError(f"no operation of {options.test_case} went well, {result['together']['failed']} failed: "
                       "is --max-file-size large enough for a block per thread, and is there room on the device?")
    return result


def _python(stage):
    """Calls from Python on one rank: {name: ...} on all. Collective."""
    ranks, lead, found = stage.ranks, _lead(stage), {}
    with ranks.agreed("calling from Python"):
        if ranks.rank == lead:
            seconds = _aside_s(stage.options)
            found = {"call_ns": client.calls(stage.admin, seconds).summary(), "outstanding": client.OUTSTANDING,
                     "tasks_per_s": client.outstanding(stage.admin, seconds)}
    return ranks.share(found, "results of calls from Python", lead)


def _lead(stage):
    """The first rank that is a client."""
    return stage.ranks.gather(stage.is_client, "which ranks are clients").index(True)


def _aside_s(options):
    return min(max(options.duration / 4, _ASIDE_S[0]), _ASIDE_S[1])


def _ping_pong_in_c(ranks):
    """Percentiles on the first rank, None elsewhere and where there is no compiler. Collective."""
    with ranks.agreed("measuring a ping-pong in C"):
        samples = plain.ping_pong_in_c() if ranks.rank == 0 else None
    return samples.summary() if samples else None


def _result(stage, turns, in_c, python):
    ranks, options = stage.ranks, stage.options
    nbytes = options.io_size if options.test_case == "bdev_io" else 0
    beside = {f"{name}_ns": samples.summary() for name, samples in turns.beside.items()}
    result = {"test_case": options.test_case, "size": ranks.size, "nodes": ranks.nodes, "cores": os.cpu_count(),
              "load": os.getloadavg()[0], "attached": stage.is_attached, "worker_and_client_apart": stage.are_apart,
              "options": {name: value for name, value in vars(options).items()},
              "ranks": [{"rank": rank, **report.figures(part, nbytes)} for rank, part in enumerate(turns.parts) if part],
              "together": report.figures(report.together(turns.parts), nbytes), "python": python, "plain": {**beside, "ping_pong_c_ns": in_c},
              "rounds": {"count": turns.count, "ratios": turns.ratios}, "ratios": turns.medians}
    return ranks.share(result, "the result of the benchmark")
