"""Files in a mounted store against the same files in a plain folder, and in that folder through FUSE without us (bindfs, where it is installed).

    python perf/mount.py [--mib N] [--files N] [--seconds S] [--out FILE]

A file is written in blocks of 1 MiB and closed, written and synced, read again, and written at random places, 4 KiB each; many small files are made. MB/s, or calls/s.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from timing import in_turns, setting, write

MIB = 1 << 20


def written(folder, mib, synced=False):
    block = b"0123456789abcdef" * (MIB // 16)
    with open(f"{folder}/file", "wb", buffering=0) as file:
        for _ in range(mib):
            file.write(block)
        if synced:
            os.fsync(file.fileno())


def read(folder, mib):
    with open(f"{folder}/file", "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(MIB):
            pass


def scattered(folder, mib):
    places = random.Random(1)
    with open(f"{folder}/file", "r+b", buffering=0) as file:
        for _ in range(1000):
            os.pwrite(file.fileno(), b"x" * 4096, places.randrange(mib * 256) * 4096)


def made(folder, files):
    os.mkdir(f"{folder}/many")
    for number in range(files):
        with open(f"{folder}/many/{number}", "wb") as file:
            file.write(b"x" * 4096)
    shutil.rmtree(f"{folder}/many")


def mounted(command, place):
    """The process of a mount, when it is there."""
    os.mkdir(place)
    process = subprocess.Popen(command)
    until = time.monotonic() + 60
    while not os.path.ismount(place):
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{command[0]} didn't mount {place}: see its message above")
        time.sleep(0.05)
    return process


def figures(folder, options):
    places, processes = {"plain": f"{folder}/plain"}, []
    os.mkdir(places["plain"])
    try:
        if shutil.which("bindfs"):
            os.mkdir(f"{folder}/bound")
            places["fuse"] = f"{folder}/through"
            processes.append(mounted(["bindfs", "-f", f"{folder}/bound", places["fuse"]], places["fuse"]))
        command = [sys.executable, "-m", "wrp.cee.doors.mount", f"{folder}/files", "--store", f"{folder}/store", "--path", "run", "--write"]
        processes.append(mounted(command, f"{folder}/files"))
        places["store"] = f"{folder}/files"
        found = {}
        for what, function, amount in (("write_mbps", lambda at: written(at, options.mib), options.mib * MIB / 1e6), ("synced_mbps", lambda at: written(at, options.mib, True), options.mib * MIB / 1e6),
                                       ("read_mbps", lambda at: read(at, options.mib), options.mib * MIB / 1e6), ("scattered_4k_per_s", lambda at: scattered(at, options.mib), 1000),
                                       ("files_per_s", lambda at: made(at, options.files), options.files)):
            taken = in_turns({name: lambda at=at: function(at) for name, at in places.items()}, options.seconds)
            found[what] = {name: round(amount / seconds, 1) for name, seconds in taken.items()}
        return found
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=50)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--out")
    options = parser.parse_args()
    result = {"setting": setting()}
    with tempfile.TemporaryDirectory() as folder:
        result["mount"] = figures(folder, options) if os.path.exists("/dev/fuse") else "there is no FUSE here"
    write(options.out, result)


if __name__ == "__main__":
    main()
