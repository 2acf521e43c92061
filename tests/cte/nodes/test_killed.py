"""Blobs that are renamed or deleted over several nodes by jobs that are killed: what was flushed is there under one name or both, and no place is two blobs'."""

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


@needs_mpirun
@pytest.mark.parametrize("dies_at", ["before it is written down", "before the other node hears of it"])
def test_killed_as_a_blob_goes_that_lies_on_another_node_the_place_is_free_or_its_own(tmp_path, dies_at):
    """Its home has no room: the bytes lie in its neighbours' files. Who puts there after the next opening gets nobody's place."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("storage: [{path: 'ram::r', capacity_limit: 1m}, {path: data, bdev_type: file, capacity_limit: 16m}]\n")
    env = {"WRP_RUNTIME_CONF": str(conf)}
    done = job(2, f"""
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    if ranks.rank == 0:
        blobs = [f"b{{n}}" for n in range(1000) if home_of("t", f"b{{n}}", 2) == 0][:2]
        for number, blob in enumerate(blobs):
            store.put("t", blob, bytes([number]) * (10 << 20))
        store.flush()
        assert len({{extent[0] for blob in blobs for extent in store.extents("t", blob)}}) == 2
        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        store.delete("t", blobs[1])
        if {dies_at!r} == "before it is written down":
            die()
        store._net._away.tell = die
        store.flush()
    time.sleep(30)
    """, env)
    assert done.returncode and "Traceback" not in done.stderr and "wrp: " not in done.stderr, done.stdout + done.stderr
    left = 2 if dies_at == "before it is written down" else 1
    done = job(2, f"""
    with Store.open({str(tmp_path / "store")!r}, ranks) as store:
        if ranks.rank == 0:
            found = store.list("t")
            for number, blob in enumerate(found):
                assert store.get("t", blob) == bytes([number]) * (10 << 20)
            store.put("t", "new", b"n" * (10 << 20 if len(found) == 1 else 1 << 20))
            for number, blob in enumerate(found):
                assert store.get("t", blob) == bytes([number]) * (10 << 20)
            print("found", len(found), set(store.get("t", "new")) == set(b"n"))
    """, env)
    assert done.returncode == 0 and f"found {left} True" in done.stdout, done.stdout + done.stderr
