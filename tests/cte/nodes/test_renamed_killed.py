"""Blobs that are renamed over several nodes by jobs that are killed: what was flushed is there, under one name or both."""

import textwrap

import pytest
from harness.mpirun import needs_mpirun, run_python

from wrp.cte import Store

_HEAD = """
import os, signal, sys, time
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.homes import home_of
ranks = world()
def at_home(node):
    return next(f"b{n}" for n in range(1000) if home_of("t", f"b{n}", ranks.nodes) == node)
"""


def job(ranks, code, env=None):
    return run_python(_HEAD + textwrap.dedent(code), ranks, 60, {"WRP_RANKS_PER_NODE": "1", "WRP_TIMEOUT_S": "20", **(env or {})})


@needs_mpirun
@pytest.mark.parametrize("dies_at, nbytes", [("put", 1000), ("delete_still", 1000), ("delete_still", 3_000_000)])
def test_killed_anywhere_a_flushed_blob_that_is_renamed_to_another_home_has_a_name(tmp_path, dies_at, nbytes):
    """The home of the old name has written down what it knows, that of the new one only what it must have."""
    done = job(2, f"""
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    if ranks.rank == 0:
        old, new = at_home(1), at_home(0)
        store.put("t", old, b"x" * {nbytes})
        store.flush()
        call = getattr(store, {dies_at!r})
        def dying(*args, **named):
            found = call(*args, **named)
            if found or {dies_at!r} == "put":
                store._net.at(1, "flush")
                os.kill(os.getpid(), signal.SIGKILL)
            return found
        setattr(store, {dies_at!r}, dying)
        store.rename("t", old, new)
    time.sleep(30)
    """)
    assert done.returncode and "Traceback" not in done.stderr and "wrp: " not in done.stderr, done.stdout + done.stderr
    for write in (False, True):
        with Store.open(tmp_path / "store", write=write) as store:
            found = [store.get("t", blob) for blob in store.list("t")]
            assert found == [b"x" * nbytes] * (1 if dies_at == "delete_still" else len(found) or 1)
