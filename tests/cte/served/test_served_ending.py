"""A daemon that is told to end while its storage doesn't answer: it says what it waits for, ends all the same, and leaves no name."""

import os
import threading

import pytest
from cte.served.test_served_killed import wait_for
from wrp.cte import Store
from wrp.cte.served import carrying
from wrp.errors import RuntimeGone, StoreError, WaitTimeout

_HANGS = """
import os, time
def hanging(sync):
    def hangs(descriptor):
        while os.path.exists({path!r}):
            open({path!r} + ".begun", "w").close()
            time.sleep(0.05)
        return sync(descriptor)
    return hangs
os.fsync, os.fdatasync = hanging(os.fsync), hanging(os.fdatasync)
"""


def test_a_daemon_whose_storage_hangs_says_so_and_ends(started, tmp_path):
    hang, name = tmp_path / "hang", f"hangs{os.getpid()}"
    (tmp_path / "sitecustomize.py").write_text(_HANGS.format(path=str(hang)))
    running = started(name, folder=tmp_path / "store", env={"PYTHONPATH": str(tmp_path)}, timeout_s=3)
    told = []
    with Store.attach(name, 60) as store:
        store.put("t", "kept", b"x" * 300_000)
        store.flush()
        store.put("t", "lost", b"x" * 300_000)
        hang.touch()
        flushing = threading.Thread(target=lambda: told.append(_error_of(store.flush)), daemon=True)
        flushing.start()
        wait_for((tmp_path / "hang.begun").exists, "the flush has come to the storage", 60)
        code = running.end()
        flushing.join(20)
    hang.unlink()
    said = "\n".join(running.lines)
    assert code == 9 and "the daemon ends when calls of attached processes have ended, 1 now" in said
    assert "calls of attached processes, 1 now, haven't ended within 3 s (runtime.timeout_s): the store can't be closed under them" in said
    assert isinstance(told[0], RuntimeGone) and "Whether flush has happened isn't known" not in str(told[0])
    with pytest.raises(StoreError, match="no daemon"):
        Store.attach(name)
    with Store.open(tmp_path / "store") as store:
        assert store.list("t") == ["kept"]


def _error_of(call):
    try:
        call()
    except Exception as error:
        return error


@pytest.mark.parametrize("is_going_on", [True, False])
def test_calls_are_waited_for_as_long_as_something_goes_on(is_going_on, monkeypatch):
    """A flush of much takes longer than a storage may be silent."""
    monkeypatch.setattr(carrying, "_TELL_S", 0.1)
    calls, ends, looks = carrying.Carrying(), threading.Event(), []
    calls.submit(ends.wait, 60)

    def goes_on():
        looks.append(True)
        if len(looks) == 8:
            ends.set()
        return is_going_on
    try:
        if is_going_on:
            calls.end(0.5, goes_on)
            assert len(looks) >= 8
        else:
            with pytest.raises(WaitTimeout, match="calls of attached processes, 1 now, haven't ended within 0.5 s"):
                calls.end(0.5, goes_on)
    finally:
        ends.set()
        assert calls._executor.end(20)
