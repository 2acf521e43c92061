"""A child forked by a process that has its node alone: nothing of the store is shared with it, so it is refused, and its parent goes on."""

import os

import pytest

from wrp.comm.ranks.solo import Solo
from wrp.cte import Store
from wrp.errors import UsageError
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


def test_a_child_can_t_use_a_runtime_but_start_one():
    with Runtime(Solo(), Config.default()) as runtime:
        def use():
            with pytest.raises(UsageError, match="forked"):
                runtime.device("ram", "ram", 1 << 20)
            with Runtime(Solo(), Config.default()) as own:
                assert own.device("ram", "ram", 1 << 20).capacity == 1 << 20
        assert _in_child(use) == 0
        assert runtime.device("ram", "ram", 1 << 20).capacity == 1 << 20
