"""Organizers and placement policies compared over access traces, in a simulated store: what comes from the fastest tier, what is moved.

    python perf/policies.py [--accesses 40000] [--share 0.1] [--trace FILE] [--out FILE]
"""

import argparse
import time

import traces
from timing import setting, write
from wrp.cte import organizer, placement
from wrp.cte.organizer.simulation import simulate, tiers_of
from wrp.cte.placement import Target

ROUNDS = 3                  # seeds of the made traces; means are written


def targets_for(trace, share):
    """Ram for `share` of the bytes of a trace, an NVMe for three times that, a disk for all."""
    nbytes = traces.footprint(trace)
    return [_target(0, "ram", 1.0, int(nbytes * share), 8000, 8000, 1, 0),
            _target(1, "nvme", 0.5, int(nbytes * share * 3), 1500, 2500, 90, 2),
            _target(2, "disk", 0.1, 2 * nbytes, 180, 200, 6000, 2)]


def _target(number, name, score, nbytes, write_mbps, read_mbps, latency_us, persistence):
    return Target(number, name, "ram" if number == 0 else "file", score, nbytes, nbytes, write_mbps, read_mbps, latency_us, persistence)


def organizers(trace, share):
    """{name: figures} of every organizer, new blobs placed by max_bw."""
    targets, found = targets_for(trace, share), {}
    for name in organizer.NAMES:
        start = time.perf_counter()
        outcome = simulate(organizer.make(name, tiers_of(targets)), targets, trace)
        found[name] = _figures(outcome) | {"us_per_event": (time.perf_counter() - start) / len(trace) * 1e6}
    return found


def placements(trace, share):
    """{name: figures} of every placement policy, with nobody who moves blobs, and a third of the blobs cold (score 0.3)."""
    targets = targets_for(trace, share)
    scored = [access._replace(score=0.3 if sum(access.blob.encode()) % 3 == 0 else 1.0) for access in trace]
    return {name: _figures(simulate(organizer.make("none", tiers_of(targets)), targets, scored, place=name))
            for name in placement.NAMES}


def _figures(outcome):
    return {"hit_ratio": outcome.hit_ratio, "byte_hit_ratio": outcome.byte_hit_ratio, "moved_mib": outcome.moved / traces.MIB,
            "moved_per_read": outcome.moved / max(outcome.read, 1), "io_s": outcome.io_us / 1e6}


def mean(rounds):
    """The means of the figures of several rounds, of the same shape."""
    if isinstance(rounds[0], dict):
        return {key: mean([each[key] for each in rounds]) for key in rounds[0]}
    return round(sum(rounds) / len(rounds), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--accesses", type=int, default=40000, help="length of the made traces (default 40000)")
    parser.add_argument("--share", type=float, default=0.1, help="ram as a part of the bytes of a trace (default 0.1)")
    parser.add_argument("--trace", help="a published trace instead of the made ones: MSR Cambridge (.csv) or ARC")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    if arguments.trace:
        sets = [{"trace": list(traces.read(arguments.trace, arguments.accesses))}]
    else:
        sets = [traces.made(arguments.accesses, seed) for seed in range(ROUNDS)]
    result = {"setting": setting(), "accesses": arguments.accesses, "ram_share": arguments.share}
    for what, compare in (("organizers", organizers), ("placements", placements)):
        result[what] = {name: mean([compare(each[name], arguments.share) for each in sets]) for name in sets[0]}
    write(arguments.out, result)


if __name__ == "__main__":
    main()
