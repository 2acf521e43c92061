"""Timing for the benchmarks: rounds in which contenders take turns, so that noise meets all of them alike."""

import json
import os
import platform
import statistics
import subprocess
import time


def per_call(function, seconds=0.5, least=5):
    """Seconds per call of `function`: the median of at least `least` calls over about `seconds`."""
    function()
    taken, end = [], time.perf_counter() + seconds
    while len(taken) < least or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def in_turns(contenders, seconds):
    """{name: median seconds} of functions that take turns."""
    taken = {name: [] for name in contenders}
    for function in contenders.values():
        function()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(taken.values()))) < 5:
        for name, function in contenders.items():
            start = time.perf_counter()
            function()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def together(ranks, function):
    """Seconds from a barrier until the last rank has done `function`: the same number on every rank. Collective."""
    ranks.barrier("the start of a measurement")
    start = time.perf_counter()
    function()
    return max(ranks.gather(time.perf_counter() - start, "times of a measurement"))


def summary(seconds):
    return {"median_s": round(statistics.median(seconds), 6), "min_s": round(min(seconds), 6), "max_s": round(max(seconds), 6),
            "rounds": len(seconds)}


def setting():
    """What the numbers were measured on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=os.path.dirname(__file__) or ".")
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(), "python": platform.python_version(),
            "load_before": round(os.getloadavg()[0], 2), "commit": commit.stdout.strip() or "unknown",
            "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}


def write(path, result):
    """Write a result as JSON, or print it when there is no path."""
    text = json.dumps(result, indent=1)
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    else:
        print(text)
