"""Stores that a program doesn't close: what was put is there for the next one, or one sentence says what isn't. Real processes, since it is about their end."""

import subprocess
import sys

import pytest

from harness.mpirun import job_environment, mpirun, needs_mpirun
from wrp.cte import Store

CONF = "storage:\n  - {path: 'ram::left', bdev_type: ram, capacity_limit: 8m}\n  - {path: data, bdev_type: file, capacity_limit: %s}\n"
PUT = "from wrp.cte import Store\nstore = Store.open({folder!r}, config={conf!r})\nstore.put('t', 'b', b'x' * 3000), store.put('t', 'long', b'y' * 3_000_000)\n"
ENDS = {
    "sys.exit": ("import sys; sys.exit(3)", 3), "an error": ("1 / 0", 1),
    "dropped, and a hook of its own": ("import atexit, gc; atexit.register(store.put, 't', 'after', b'a'); del store; gc.collect()", 0),
    "sys.exit in a with block": ("import sys\nwith store: store.put('t', 'in it', b'i'), sys.exit(3)", 3), "an error in a with block": ("with store: 1 / 0", 1),
    "with a child": ("import os, sys\npid = os.fork()\nif not pid: sys.exit(0)\nassert os.waitpid(pid, 0)[1] == 0\nstore.put('t', 'after', b'a')", 0),
}


@pytest.fixture
def ended(tmp_path):
    """A function: the end of a program that has put two blobs and goes on with some code."""
    def run(code, file="16m"):
        (tmp_path / "conf.yaml").write_text(CONF % file)
        text = PUT.format(folder=str(tmp_path / "store"), conf=str(tmp_path / "conf.yaml")) + code
        return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, env=job_environment())
    return run


@pytest.mark.parametrize("end", ENDS)
def test_what_was_put_is_there(ended, tmp_path, end):
    code, status = ENDS[end]
    done = ended(code)
    assert done.returncode == status and "wrp:" not in done.stderr, done.stderr
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get("t", "b") == b"x" * 3000 and store.get("t", "long") == b"y" * 3_000_000
        assert store.exists("t", "after") == (not status)


def test_what_cannot_be_flushed_is_told(ended, tmp_path):
    done = ended("store.put('t', 'more', b'z' * 3_000_000)", file="4m")
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1
    assert f"store {tmp_path / 'store'} was left open when Python ended, and 1 blob with " in done.stderr and "or store.close()" in done.stderr


FAILED_BEFORE = """
import time
add = store._parts.journal.add
def full(*_): raise OSError('no room')
store._parts.journal.add = full
from wrp.cte.periodic import Periodic
periodic = Periodic(store._parts, store._flush, [(0.001, 2)])
periodic.start()
while store._parts.failure is None: time.sleep(0.001)
periodic.stop()
store._parts.journal.add = add
"""


def test_nothing_is_said_of_a_flush_that_failed_before_and_does_not_now(ended, tmp_path):
    assert ended(FAILED_BEFORE).stderr == ""
    assert "wrp:" not in ended(FAILED_BEFORE + "with store: 1 / 0").stderr
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.exists("t", "b")


@pytest.mark.parametrize("code, is_kept", [("store.flush()", True), ("import os; os._exit(0)", False)])
def test_nothing_is_said_where_there_is_nothing_to_do_or_no_way(ended, tmp_path, code, is_kept):
    assert ended(code).stderr == ""
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.exists("t", "b") == is_kept


def test_what_cannot_be_closed_is_told_without_blobs(ended, tmp_path):
    done = ended("close = store._parts.close\ndef failing(**more): close(**more); raise OSError('no such disk')\nstore._parts.close = failing")
    assert done.returncode == 0 and f"store {tmp_path / 'store'} was left open when Python ended, and it could not be closed: no such disk; " in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "blob" not in done.stderr


@needs_mpirun
@pytest.mark.parametrize("first", [0, 1])
def test_a_rank_that_ends_long_before_another_serves_it(tmp_path, first):
    (tmp_path / "conf.yaml").write_text(CONF % "64m")
    code = f"import time\nfrom wrp.comm.ranks import world\nfrom wrp.cte import Store, ending\nremember = ending.remember\n" \
           f"if world().rank != {first}: ending.remember = lambda store: (time.sleep(1), remember(store))        # it comes late from the last step of opening\n" \
           f"store = Store.open({str(tmp_path / 'store')!r}, config={str(tmp_path / 'conf.yaml')!r})\nif world().rank != {first}:\n    time.sleep(1)\n    for number in range(5): store.put('t', f'b{{number}}', bytes([number]) * 5_000_000)"
    done = mpirun(2, [sys.executable, "-c", code])
    assert done.returncode == 0 and done.stderr == "", done.stderr
    with Store.open(tmp_path / "store", write=False) as store:
        assert all(store.get("t", f"b{number}") == bytes([number]) * 5_000_000 for number in range(5))


@needs_mpirun
@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "store.close()"])
def test_nobody_waits_at_the_end_for_a_rank_that_is_gone_or_closes(tmp_path, end):
    code = f"import os, time\nfrom wrp.comm.ranks import world\nfrom wrp.cte import Store\nstore = Store.open({str(tmp_path / 'store')!r})\n" \
           f"store.put('t', f'{{world().rank}}', b'x')\nworld().barrier('all have put')\nif world().rank: {end}"
    assert "Python ended" not in mpirun(2, [sys.executable, "-c", code]).stderr


def test_what_cannot_be_flushed_after_an_error_is_told_beside_it(ended):
    put = "with store:\n store.put('t', 'more', b'z' * 3_000_000)\n %s"
    first, *_, last = ended(put % "1 / 0", file="4m").stderr.splitlines()
    assert " was left by an error, and 1 blob with " in first and last.startswith("ZeroDivisionError")
    assert "was left by" not in ended(put % "store.flush()", file="4m").stderr          # the error itself says it


@needs_mpirun
@pytest.mark.parametrize("end", ["", "\nwith store, world().agreed('all of them'): 1 / 0"], ids=["open", "by an error of all"])
@pytest.mark.parametrize("per_node", ["2", "1"])
def test_ranks_that_leave_it_open(tmp_path, per_node, end):
    (tmp_path / "conf.yaml").write_text(CONF % "16m")
    code = f"from wrp.comm.ranks import world\nfrom wrp.cte import Store\nstore = Store.open({str(tmp_path / 'store')!r}, config={str(tmp_path / 'conf.yaml')!r})\n" \
           "for number in range(8): store.put('t', f'{world().rank}.{number}', bytes([number]) * 5000)\nworld().barrier('all have put')" + end
    done = mpirun(2, [sys.executable, "-c", code], env={"WRP_RANKS_PER_NODE": per_node})
    assert (done.returncode == 0) == (not end) and "wrp:" not in done.stderr, done.stderr
    with Store.open(tmp_path / "store", write=False) as store:
        assert {name: store.get("t", name)[:1] for name in store.list("t")} == {f"{rank}.{number}": bytes([number]) for rank in range(2) for number in range(8)}
