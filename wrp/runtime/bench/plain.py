"""What the machine does without tasks, measured in the same run: a word to another process and back, and the bytes of bdev_io."""

import os
import shutil
import subprocess
import tempfile

import numpy as np

from wrp.comm import atomics
from wrp.comm.jit import kernel
from wrp.errors import WrpError
from wrp.runtime.bench.samples import Samples

TRIPS = 20_000
_LONGEST_S = 5
_LATER_NS = 1_000_000_000   # who gives the word back waits longer: the other one ends it
_PAUSES = 256           # between two looks at the clock; then the other process may have the core
_OVER = -1
_MOST = 1 << 18

_PING_PONG = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static _Atomic long *word;
static void expect(long value) { for (long n = 1; atomic_load(word) != value; n++) if (n % 4096 == 0) sched_yield(); }
static void own_core(int number) {          /* of the cores that it may use; on one core the two would take turns by the scheduler's clock */
    cpu_set_t cores, own;
    CPU_ZERO(&own);
    if (sched_getaffinity(0, sizeof cores, &cores) || CPU_COUNT(&cores) < 2) return;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &cores) && number-- == 0) { CPU_SET(core, &own); sched_setaffinity(0, sizeof own, &own); return; }
}
static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000L + t.tv_nsec; }
int main(int argc, char **argv) {
    long trips = argc > 1 ? atol(argv[1]) : 1;
    word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (word == MAP_FAILED) return 1;
    pid_t child = fork();
    if (child < 0) return 1;
    alarm(5);
    own_core(child == 0);
    if (child == 0) {
        for (long i = 0; i < trips; i++) { expect(2 * i + 1); atomic_store(word, 2 * i + 2); }
        _exit(0);
    }
    for (long i = 0; i < trips; i++) {
        long from = now();
        atomic_store(word, 2 * i + 1);
        expect(2 * i + 2);
        printf("%ld\n", now() - from);
    }
    wait(0);
    return 0;
}
"""


@kernel
def _await(word, value, late):
    """The word once it isn't what it was two steps before: `value`, _OVER, or 0 when it's late."""
    while True:
        for _ in range(_PAUSES):
            seen = atomics.load(word)
            if seen == value or seen == _OVER:
                return seen
            atomics.pause()
        if atomics.now_ns() >= late:
            return 0
        atomics.yield_core()


@kernel
def ping(word, late, durations):
    """Hand the word at an address to `pong` of another process and await it back: how many times until `late` (ns), at most len(durations)."""
    done = 0
    while done < len(durations):
        before = atomics.now_ns()
        atomics.store(word, 2 * done + 1)
        if _await(word, 2 * done + 2, late) <= 0:
            break
        durations[done] = atomics.now_ns() - before
        done += 1
    atomics.store(word, _OVER)
    return done


@kernel
def pong(word, late):
    """The other side: gives the word back until it's over, or late."""
    done = 0
    while _await(word, 2 * done + 1, late) > 0:
        atomics.store(word, 2 * done + 2)
        done += 1
    return done


@kernel
def moves(target, source, nbytes, fd, until, durations):
    """Copies of `nbytes` bytes to the address `target`, or to the place `target` of the file `fd` (-1: none): how many; or a negative errno."""
    done = 0
    before = atomics.now_ns()
    while done < len(durations) and before < until:
        if fd < 0:
            atomics.copy(target, source, nbytes)
        else:
            moved = atomics.pwrite(fd, source, nbytes, target)
            if moved != nbytes:
                return moved
        now = atomics.now_ns()
        durations[done] = now - before
        before = now
        done += 1
    return done


def ping_pong(node, word, seconds):
    """Samples of the word's round trips on the node's first rank, of none elsewhere. Collective over `node`, two ranks or more.

    word : address of a word, the same on all of them
    """
    # compiled before they meet: nobody waits for the other's compiler
    ping(word, 0, np.empty(0, np.int64)) if node.rank == 0 else pong(word, 0)
    node.barrier("both sides of the ping-pong are compiled")
    if node.rank == 0:
        atomics.store(word, 0)
    node.barrier("the word of the ping-pong is there")
    durations, done = np.empty(TRIPS, np.int64), 0
    late = atomics.now_ns() + int(seconds * 1e9)
    if node.rank == 0:
        done = ping(word, late, durations)
    elif node.rank == 1:
        pong(word, late + _LATER_NS)
    node.barrier("the ping-pong has ended")
    return Samples.of(durations[:done])


def ping_pong_in_c():
    """Samples of the same between two processes in C, or None without a compiler. Local."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "pingpong")
        made = subprocess.run([compiler, "-O2", "-x", "c", "-", "-o", program], input=_PING_PONG, text=True, capture_output=True, timeout=60)
        if made.returncode:
            return None
        run = subprocess.run([program, str(TRIPS)], capture_output=True, text=True, timeout=4 * _LONGEST_S)
    return Samples.of(np.array(run.stdout.split(), np.int64)) if run.returncode == 0 else None


def moved(target, source, nbytes, fd, seconds):
    """Samples of copies (fd -1) or of pwrites of `nbytes` from the address `source`, see `moves`. Local."""
    durations = np.empty(_MOST, np.int64)
    moves(target, source, nbytes, fd, 0, durations)
    done = moves(target, source, nbytes, fd, atomics.now_ns() + int(seconds * 1e9), durations)
    if done < 0:
        raise WrpError(f"a plain write of {nbytes} bytes failed: {os.strerror(-done)}")
    return Samples.of(durations[:done])
