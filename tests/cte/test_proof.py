"""The short forms of the proofs: crashes, faults at every call, fuzzed folders. Each script has a long form (--minutes)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cte.proof import workload
from cte.proof.linear import Call, is_linearisable
from harness.mpirun import needs_mpirun

PROOF = Path(__file__).parent / "proof"


def told(script, tmp_path, *arguments):
    """What a proof prints. It runs in a process of its own, which forks and has no threads."""
    done = subprocess.run([sys.executable, PROOF / script, "--minutes", "0.1", *arguments], capture_output=True, text=True, timeout=100,
                          env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(120)
def test_killed_anywhere_the_store_keeps_its_promises(tmp_path):
    assert "every promise kept" in told("crash.py", tmp_path, "--seed", "1")


@pytest.mark.timeout(120)
def test_a_call_that_fails_loses_nothing(tmp_path):
    assert "nothing lost" in told("faults.py", tmp_path, "--seed", "1")


@pytest.mark.timeout(120)
def test_killed_anywhere_names_are_where_they_were_or_were_to_be(tmp_path):
    assert "every name" in told("renaming.py", tmp_path, "--seed", "1")


@needs_mpirun
@pytest.mark.timeout(120)
def test_jobs_of_several_nodes_killed_anywhere_keep_their_promises(tmp_path):
    assert "every promise kept" in told("nodes.py", tmp_path, "--seed", "1")


@pytest.mark.timeout(120)
def test_damaged_folders_never_show_other_bytes(tmp_path):
    assert "damaged folders" in told("fuzz.py", tmp_path, "--seed", "1")


def operation(kind, number=0):
    return workload.Operation(number, kind, "a", "x", number)


def test_the_model_notices_what_is_lost():
    model = workload.Model()
    for made in (operation("put"), operation("flush", 1)):
        model.begun(made)
        model.ended(made)
    empty = dict.fromkeys(model.now)
    with pytest.raises(AssertionError, match="holds None"):
        model.check(empty)
    model.check({**empty, ("a", "x"): operation("put").data})


def test_the_model_notices_half_a_batch():
    model, batch = workload.Model(), operation("batch", 7)
    model.begun(batch)
    model.check(dict.fromkeys(model.now))
    model.check({**dict.fromkeys(model.now), **{("a", blob): batch.data for blob in workload.BLOBS}})
    with pytest.raises(AssertionError, match="half of batch 7"):
        model.check({**dict.fromkeys(model.now), ("a", "x"): batch.data})


@pytest.mark.parametrize("calls, answer", [
    ([("put", "1", 0, 1), ("get", "1", 2, 3)], True),
    ([("put", "1", 0, 1), ("get", None, 2, 3)], False),                             # a lost put
    ([("put", "1", 0, 5), ("get", None, 1, 2), ("get", "1", 3, 4)], True),          # one under way may be seen or not
    ([("put", "1", 0, 5), ("get", "1", 1, 2), ("get", None, 3, 4)], False),         # but not seen and then unseen
    ([("put", "1", 0, 1), ("put", "2", 0, 1), ("get", "1", 2, 3), ("get", "2", 4, 5)], False),
    ([("put", "1", 0, 1), ("delete", True, 2, 3), ("get", None, 4, 5)], True),
    ([("put", "1", 0, 1), ("delete", False, 2, 3)], False)])
def test_histories(calls, answer):
    assert is_linearisable([Call(*call) for call in calls]) is answer
