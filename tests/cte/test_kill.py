"""kill -9 at any moment: what a call promised is there afterwards, nothing half-done is, and the store opens."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from wrp.cte import Store
from wrp.cte.arrays import get_array

WRITER = """
import sys
from wrp.cte import Store
store = Store.open(sys.argv[1])
turn = 0
print("open", flush=True)
while True:
    turn += 1
    for blob in range(3):
        store.put("t", f"b{blob}", bytes([turn % 251]) * (70_000 + blob))
    if turn % 5 == 0:
        with store.batch("pair") as batch:
            batch.put("pair", "left", b"%d" % turn)
            with batch.writing("pair", "right", 300_000) as buffer:
                buffer[:] = bytes([turn % 251]) * 300_000
        print(f"batch {turn}", flush=True)
    if turn % 3 == 0:
        store.flush()
        print(f"flush {turn}", flush=True)
"""


def test_an_array_is_there_once_the_call_has_returned(tmp_path):
    code = ("import os, signal, sys\nimport numpy as np\nfrom wrp.cte import Store\nfrom wrp.cte.arrays import put_array\nstore = Store.open(sys.argv[1])\n"
            "put_array(store, 'a', np.arange(5000.0).reshape(50, 100))\nstore.put('t', 'b', b'not flushed')\nos.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "store"], timeout=60).returncode == -signal.SIGKILL
    with Store.open(tmp_path / "store", write=False) as store:
        assert (get_array(store, "a") == np.arange(5000.0).reshape(50, 100)).all() and store.tags() == ["a"]


def killed_after(folder, seconds):
    """Last promised (flush, batch) turns of a writer that was killed."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        told = [line.split() for line in writer.stdout.read().split("\n")[:-1] if line]
    promised = {"flush": 0, "batch": 0}
    for kind, turn in told:
        promised[kind] = int(turn)
    return promised


def check(folder, promised):
    with Store.open(folder) as store:
        for blob in range(3 if promised["flush"] else 0):
            data = store.get("t", f"b{blob}")
            assert data == data[:1] * (70_000 + blob)
        if promised["batch"]:
            turn = int(store.get("pair", "left"))
            assert turn >= promised["batch"]
            assert store.get("pair", "right") == bytes([turn % 251]) * 300_000


@pytest.mark.timeout(120)
def test_killed_writers_keep_their_promises(tmp_path):
    moments = random.Random(5)
    for _ in range(5):
        check(tmp_path / "s", killed_after(tmp_path / "s", moments.uniform(0.05, 0.6)))
