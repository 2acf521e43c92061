"""The machine's limits that wrp's speed is compared with: memory copies, page-cache reads, checksums, a hand-over between processes.

    python perf/limits.py [--out FILE]
"""

import argparse
import mmap
import os
import shutil
import subprocess
import tempfile

import numpy as np

from timing import per_call, setting, write
from wrp.comm.checksum import crc32

PING_PONG = r"""
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    enum { N = 200000 };
    _Atomic long *word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct timespec a, b;
    if (fork() == 0) {
        for (long i = 0; i < N; i++) { while (atomic_load(word) != 2 * i + 1) ; atomic_store(word, 2 * i + 2); }
        _exit(0);
    }
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (long i = 0; i < N; i++) { atomic_store(word, 2 * i + 1); while (atomic_load(word) != 2 * i + 2) ; }
    clock_gettime(CLOCK_MONOTONIC, &b);
    wait(0);
    printf("%.9f\n", ((b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec)) / N);
}
"""


def memcpy(nbytes, region):
    """Seconds for one copy of `nbytes` to places that rotate over `region` bytes."""
    source = np.ones(nbytes, np.uint8)
    target = np.ones(region, np.uint8)
    places = [target[start:start + nbytes] for start in range(0, region - nbytes + 1, nbytes)]
    turn = iter(range(10**9))
    return per_call(lambda: np.copyto(places[next(turn) % len(places)], source))


def first_touch(nbytes):
    """Seconds to touch every page of fresh shared memory."""
    def touch():
        with mmap.mmap(-1, nbytes) as region:
            np.frombuffer(region, np.uint8)[::4096] = 1
    return per_call(touch, least=3)


def page_cache_read(nbytes):
    """Seconds to read a cached file of `nbytes` into warm memory, in 1 MiB pieces."""
    buffer = memoryview(bytearray(1 << 20))
    with tempfile.TemporaryFile() as file:
        file.write(bytes(nbytes))
        file.flush()

        def read():
            for offset in range(0, nbytes, len(buffer)):
                os.preadv(file.fileno(), [buffer], offset)
        return per_call(read)


def ping_pong():
    """Seconds for a word to go to another process and back, in C; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "pingpong")
        subprocess.run([compiler, "-O2", "-x", "c", "-", "-o", program], input=PING_PONG, text=True, check=True)
        return float(subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout)


def measure():
    """All limits, as {name: {seconds, bytes_per_s}}."""
    mib = 1 << 20
    block = np.ones(mib, np.uint8)
    seconds = {
        "memcpy 1 MiB, destination rotates over 256 MiB": (memcpy(mib, 256 * mib), mib),
        "memcpy 1 MiB, same destination": (memcpy(mib, mib), mib),
        "memcpy 64 MiB": (memcpy(64 * mib, 64 * mib), 64 * mib),
        "first touch of shared memory, 64 MiB": (first_touch(64 * mib), 64 * mib),
        "read of a cached file, 64 MiB": (page_cache_read(64 * mib), 64 * mib),
        "checksum of 1 MiB": (per_call(lambda: crc32(block)), mib),
    }
    result = {name: {"seconds": round(taken, 9), "GB_per_s": round(nbytes / taken / 1e9, 3)} for name, (taken, nbytes) in seconds.items()}
    result["ping-pong between processes, round trip"] = {"seconds": ping_pong()}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", help="JSON file to write (default: print)")
    arguments = parser.parse_args()
    write(arguments.out, {"setting": setting(), "limits": measure()})


if __name__ == "__main__":
    main()
