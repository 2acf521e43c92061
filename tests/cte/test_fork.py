"""A child forked by a process that has its node alone: nothing of the store is shared with it, so it is refused, and its parent goes on."""

import os

import pytest

from harness.mpirun import needs_mpirun, run_python
from wrp.comm.ranks.solo import Solo
from wrp.cte import Store
from wrp.cte.folder import lock
from wrp.errors import StoreBusy, UsageError
from wrp.runtime.config import Config
from wrp.runtime.runtime import Runtime


def _in_child(work):
    """Exit code of a forked child that does the work."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_is_refused_and_its_parent_goes_on(tmp_path):
    with Store.open(str(tmp_path / "store"), Solo()) as store:
        store.put("t", "b", b"before")
        view = store.view("t", "b")

        def use():
            assert view == b"before"
            for call in (lambda: store.get("t", "b"), lambda: store.put("t", "b", b"child"), lambda: store.put("t", "b", bytes(1 << 20)), store.flush,
                         lambda: store.list("t"), lambda: store.view("t", "b")):
                with pytest.raises(UsageError, match="forked"):
                    call()
            store.close()
        assert _in_child(use) == 0
        assert store.get("t", "b") == b"before"
        store.put("t", "b", b"after")
    with Store.open(str(tmp_path / "store"), Solo(), write=False) as store:
        assert store.get("t", "b") == b"after"


@pytest.mark.parametrize("write", [True, False])
def test_a_child_that_lives_on_does_not_hold_the_folder(tmp_path, monkeypatch, write):
    monkeypatch.setattr(lock, "READERS_WAIT_S", 0.2)
    Store.open(str(tmp_path / "store"), Solo()).close()
    store = Store.open(str(tmp_path / "store"), Solo(), write=write)
    ended, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        os.read(ended, 1)
        os._exit(0)
    try:
        with pytest.raises(StoreBusy):      # nor has the fork given it away
            Store.open(str(tmp_path / "store"), Solo())
        store.close()
        Store.open(str(tmp_path / "store"), Solo()).close()
    finally:
        os.close(end)
        os.close(ended)
        os.waitpid(pid, 0)
        store.close()


def test_the_lock_does_not_outlive_its_holder_in_a_child(tmp_path):
    held, ended = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            store = Store.open(str(tmp_path / "store"), Solo())
            if os.fork() == 0:
                os.close(ended[1])
                os.write(held[1], b".")
                os.read(ended[0], 1)
            assert store.folder
        finally:
            os._exit(0)         # as kill -9: it doesn't close
    os.waitpid(pid, 0)
    try:
        assert os.read(held[0], 1) == b"."
        Store.open(str(tmp_path / "store"), Solo()).close()
    finally:
        for descriptor in (*held, *ended):
            os.close(descriptor)


@needs_mpirun
def test_a_child_of_a_rank_that_has_its_node_alone_is_refused(tmp_path):
    done = run_python(f"""
import os
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import UsageError
ranks = world()
with Store.open({str(tmp_path / "store")!r}, ranks) as store:
    store.put("t", f"b{{ranks.rank}}", b"before")
    ranks.barrier("all have put")
    pid = os.fork()
    if pid == 0:
        refused = 0
        for call in (lambda: store.get("t", "b0"), lambda: store.get("t", "b1"), lambda: store.put("t", "b0", b"child"), store.flush, lambda: store.list("t")):
            try:
                call()
            except UsageError as error:
                refused += "forked" in str(error)
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert store.get("t", "b1") == b"before"
    ranks.barrier("all have looked")
""", 2, 60, {"WRP_RANKS_PER_NODE": "1", "WRP_TIMEOUT_S": "20"})
    assert done.returncode == 0, done.stderr


def test_a_child_can_t_use_a_runtime_but_start_one():
    with Runtime(Solo(), Config.default()) as runtime:
        def use():
            with pytest.raises(UsageError, match="forked"):
                runtime.device("ram", "ram", 1 << 20)
            with Runtime(Solo(), Config.default()) as own:
                assert own.device("ram", "ram", 1 << 20).capacity == 1 << 20
        assert _in_child(use) == 0
        assert runtime.device("ram", "ram", 1 << 20).capacity == 1 << 20
