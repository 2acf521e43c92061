"""The result of a benchmark as a dictionary and as lines. Measures nothing."""

from wrp.runtime.bench.samples import Samples

_US = 1000.0


def part(clients):
    """What a rank's clients have done, to be gathered; None of none."""
    if not clients:
        return None
    return {"samples": Samples.merged([client.samples for client in clients]), "done": sum(client.done for client in clients),
            "failed": sum(client.failed for client in clients), "elapsed_s": max(client.elapsed_s for client in clients)}


def figures(part, io_nbytes):
    """Operations, their rate and honest percentiles of their durations. `io_nbytes`: bytes of each, 0: none."""
    elapsed = part["elapsed_s"]
    found = {"operations": part["done"], "failed": part["failed"], "elapsed_s": round(elapsed, 6),
             "iops": part["done"] / elapsed if elapsed else 0.0, "latency_ns": part["samples"].summary()}
    found["MB_per_s"] = found["iops"] * io_nbytes / 1e6
    return found


def together(parts):
    """All parts as one: samples merged, the longest time; a part that is None doesn't count."""
    parts = [part for part in parts if part]
    return {"samples": Samples.merged([part["samples"] for part in parts]), "done": sum(part["done"] for part in parts),
            "failed": sum(part["failed"] for part in parts), "elapsed_s": max(part["elapsed_s"] for part in parts)}


def in_turn(parts):
    """Parts of one rank, one after the other, as one; None of none."""
    parts = [part for part in parts if part]
    if not parts:
        return None
    return {**together(parts), "elapsed_s": sum(part["elapsed_s"] for part in parts)}


def lines(result, verbose):
    """The result for people."""
    where = "worker and client are different processes" if result["worker_and_client_apart"] else "worker and client are in one process"
    yield f"{result['test_case']}: {result['nodes']} nodes, {result['size']} ranks, {result['options']['threads']} threads each; {where}"
    for found in result["ranks"] if verbose or len(result["ranks"]) > 1 else ():
        yield f"  rank {found['rank']}: {_text(found)}"
    yield f"  together: {_text(result['together'])}"
    if result["python"]:
        python = result["python"]
        yield f"  Pool.call from Python: {_latency(python['call_ns'])}; {python['outstanding']} outstanding: {python['tasks_per_s']:,.0f} tasks/s"
    for name, found in (*result.get("nodes_apart", {}).items(), *result["plain"].items()):
        if name.endswith("_per_s") and found:
            yield f"  {name.replace('_', ' ')}: {found:,.0f}"
    for name, found in (*result.get("meetings", {}).items(), *result.get("nodes_apart", {}).items()):
        if name.endswith("_ns"):
            yield f"  {name[:-3].replace('_', ' ')}: {_latency(found)}"
    for name, found in result["plain"].items():
        if name.endswith("_ns") and found:
            yield f"  plain {name[:-3].replace('_', ' ')}: {_latency(found)}"
    for name, value in result["ratios"].items():
        yield f"  {name.replace('_', ' ')}: {value:.2f}"


def _text(found):
    speed = f", {found['MB_per_s']:,.1f} MB/s" if found["MB_per_s"] else ""
    return (f"{found['operations']:,} operations, {found['failed']} failed, {found['elapsed_s']:.2f} s, {found['iops']:,.0f}/s{speed}; "
            f"{_latency(found['latency_ns'])}")


def _latency(summary):
    return "no samples" if summary["p50"] is None else ", ".join(f"{name} {value / _US:.2f} us" for name, value in summary.items())
