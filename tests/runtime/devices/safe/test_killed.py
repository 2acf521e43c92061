"""Kills at every step of a write, and of a job that writes: what a write has promised is there without lost members."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runtime.devices.safe.sets import Set

from wrp.comm.ranks.solo import Solo
from wrp.runtime.config import load
from wrp.runtime.devices.safe.layout import address
from wrp.runtime.runtime import Runtime

TESTS = Path(__file__).parents[3]
MIB = 1 << 20

_WRITER = """
import random, sys
from wrp.comm.ranks.solo import Solo
from wrp.runtime.config import load
from wrp.runtime.runtime import Runtime
rng = random.Random(9)
with Runtime(Solo(), load(sys.argv[1], {})) as runtime:
    device = runtime.device("safe", "safe", 8 << 20, sys.argv[2])
    at = device.lease(8 << 20)
    while True:
        offset, nbytes, seed = rng.randrange(7 << 20), rng.choice([100, 70_000, 1 << 20]), rng.randrange(1 << 30)
        print("begin", offset, nbytes, seed, flush=True)
        device.write(at + offset, random.Random(seed).randbytes(nbytes))
        print("end", flush=True)
"""


@pytest.mark.timeout(120)
def test_killed_at_any_write_a_row_is_as_before_or_as_after(tmp_path):
    done = subprocess.run([sys.executable, "-m", "runtime.devices.safe.crash", str(tmp_path)], cwd=TESTS, capture_output=True, text=True, timeout=110,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])})
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[0]) > 120 and "every row as before or as after" in done.stdout


def test_a_job_that_is_killed_loses_nothing_that_was_written(tmp_path, configured):
    conf = tmp_path / "wrp.yaml"
    conf.write_text("runtime: {segment_capacity: 64m}")
    paths = [str(tmp_path / f"m{number}") for number in range(4)]
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(conf), address(paths, 1)], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": str(TESTS.parent)})
    lines = [writer.stdout.readline() for _ in range(60 + random.Random().randrange(20))]
    writer.send_signal(signal.SIGKILL)
    with writer:
        lines += writer.stdout.readlines()          # `communicate` would lose what was read ahead
    model, begun = bytearray(8 * MIB), None
    for words in map(str.split, lines):
        if words and words[0] == "begin" and len(words) == 4:
            begun = tuple(map(int, words[1:]))
        elif words and words[0] == "end":
            offset, nbytes, seed = begun
            model[offset:offset + nbytes] = random.Random(seed).randbytes(nbytes)
            begun = None
    os.unlink(paths[1])
    with Runtime(Solo(), load(str(conf), {})) as runtime:
        device = runtime.device("safe", "safe", 8 * MIB, address(paths, 1))
        found = bytearray(8 * MIB)
        device.read(0, found)
    if begun is not None:
        offset, nbytes, seed = begun
        found[offset:offset + nbytes] = model[offset:offset + nbytes]
    assert found == model


def test_a_holder_that_died_leaves_its_zone_to_the_next(tmp_path):
    made = Set(tmp_path, 2, 1)
    with made.opened() as array:
        made.put(array, 0, b"a" * 300_000)
        child = os.fork()
        if not child:
            array.board.zone(0, None).__enter__()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        # the words of a private board aren't shared with a child: as it would have left them
        from wrp.comm import atomics
        atomics.store(array.board._tokens[0].address, child << 32 | child)
        made.put(array, 10, b"b" * 1000)
        made.check(array)
