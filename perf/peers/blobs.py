"""Blobs put and got from Python by one client, us : them: iowarp-core, Redis, Ray and Dragon, each in an environment of its own.

    python perf/peers/blobs.py [--seconds S] [--sizes 4k,1m,16m] [--peers wrp,redis,...] [--out FILE]

Everybody does the same work (client.py), one after the other on the same machine. What can't be installed or run here is said in the result.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(_HERE))

from environments import FOLDER, environment_with, redis_server, versions  # noqa: E402
from timing import setting, write  # noqa: E402
from wrp.comm.sizes import format_size, parse_size  # noqa: E402

PACKAGES = {"redis": "redis", "ray": "ray", "dragon": "dragonhpc", "iowarp": "iowarp-core"}
_CLIENT = os.path.join(_HERE, "client.py")


def run(peer, seconds, sizes):
    """{size: {call: figures}} of a peer, and its version; or {"failed": why}."""
    try:
        if peer == "wrp":
            return _client([sys.executable], peer, seconds, sizes, {})
        if peer == "redis" and not shutil.which("redis-server"):
            return {"skipped": "redis-server isn't on PATH"}
        programs = environment_with(os.path.join(FOLDER, peer), PACKAGES[peer], "numpy")
        python = os.path.join(programs, "python")
        if peer == "redis":
            with redis_server() as path:
                found = _client([python], peer, seconds, sizes, {"PEER_SOCKET": path})
        elif peer == "dragon":
            found = _client([os.path.join(programs, "dragon"), "-s"], peer, seconds, sizes,
                            {"PATH": programs + os.pathsep + os.environ["PATH"]})
        else:
            found = _client([python], peer, seconds, sizes, {})
        return {"version": versions(programs)[PACKAGES[peer]], **found}
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        return {"failed": str(error)}


def _client(call, peer, seconds, sizes, more):
    """What client.py prints. Its home, where it runs, is a folder that goes away: some peers write there."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run([*call, _CLIENT, peer, str(seconds), *map(str, sizes)], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120 + 8 * seconds * len(sizes), env={**os.environ, "HOME": home, **more}, cwd=home)
    said = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not said:
        raise ValueError(f"{peer} ended with {done.returncode} and said {done.stdout[-400:]!r}")
    return {format_size(int(nbytes)): calls for nbytes, calls in json.loads(said[0][len("RESULT "):]).items()}


def ratios(result):
    """{"us : peer": {"put 4 KiB": speed of ours / theirs, by the medians of the times of calls}}."""
    found = {}
    for peer in PACKAGES:
        theirs = result.get(peer, {})
        found[f"us : {peer}"] = {f"{call} {size}": round(calls[call]["p50_us"] / result["wrp"][size][call]["p50_us"], 2)
                                 for size, calls in theirs.items() if isinstance(calls, dict) for call in ("put", "get")}
    return {name: values for name, values in found.items() if values}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each measurement")
    parser.add_argument("--sizes", default="4k,1m,16m", help="sizes of the blobs")
    parser.add_argument("--peers", default=",".join(["wrp", *PACKAGES]), help="which ones")
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    sizes = [parse_size(size) for size in arguments.sizes.split(",")]
    result = {"setting": setting(), **{peer: run(peer, arguments.seconds, sizes) for peer in arguments.peers.split(",")}}
    if "failed" not in result.get("wrp", {"failed": "left out"}):
        result["ratios"] = ratios(result)
    write(arguments.out, result)


if __name__ == "__main__":
    main()
