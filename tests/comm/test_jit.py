"""The decorator of kernels, its cache folders, and how processes share them."""
import fcntl
import os
import subprocess
import sys
import time

import pytest
from numba import config
from numba.core.errors import TypingError

from wrp.comm import compiling, jit
from wrp.comm.jit import Directly, direct, kernel


@kernel
def _lazy(a, b):
    return a // b


@kernel("int64(int64, int64)")
def _eager(a, b):
    return a - b


def test_both_forms_and_python_integers_are_words():
    assert _lazy(7, 2) == 3 and _lazy(-(2**62), 1) == -(2**62)
    assert [str(s) for s in _lazy.signatures] == ["(int64, int64)"] and _eager(3, 5) == -2
    assert _eager.targetoptions["nogil"] and _lazy.targetoptions["nogil"]


def test_kernels_by_name_are_loaded_when_they_are_called():
    kernels = Directly(less=(_lazy, 2))
    assert vars(kernels).keys() == {"_kernels"} and kernels.less(7, 2) == 3 and kernels.less is kernels.less
    with pytest.raises(AttributeError, match="more"):
        kernels.more(7, 2)


def test_a_kernel_called_directly_takes_words_alone():
    function = direct(_lazy, 2)
    assert function(7, 2) == 3 and function(-(2**62), 1) == -(2**62)
    for wrong in ((7,), ("seven", 2), (1 << 64, 1)):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            function(*wrong)


def test_each_module_has_its_own_folder_in_a_private_one_and_numba_keeps_its_own():
    modules = "wrp.comm.ring", "wrp.comm.lock", "wrp.cte.table", "somebody.module", "another.module"
    folders = [jit.cache_folder(module) for module in modules]
    assert len(set(folders)) == len(folders) and {os.path.dirname(folder) for folder in folders} == {jit.cache_root()}
    assert os.stat(jit.cache_root()).st_mode & 0o022 == 0
    assert config.CACHE_DIR not in folders


_SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from squares import square
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
assert square(7) == 49
print(sum(square.stats.cache_hits.values()))
"""


@pytest.mark.parametrize("cache", ["cache", "file"])
def test_one_of_many_processes_compiles(tmp_path, cache):
    """Also where nothing can be kept: then into a folder of this user's that all use and the last one removes, and rank 0 says so."""
    (tmp_path / "squares.py").write_text("from wrp.comm.jit import kernel\n@kernel\ndef square(a):\n    return a * a\n")
    (tmp_path / "file").write_text("not a folder")
    temporary, script = tmp_path / "tmp", _SCRIPT.format(folder=str(tmp_path))
    temporary.mkdir()
    environ = {**os.environ, "WRP_CACHE_DIR": str(tmp_path / cache), "TMPDIR": str(temporary), "OMPI_COMM_WORLD_SIZE": "3"}
    jobs = [subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={**environ, "OMPI_COMM_WORLD_RANK": str(rank)}) for rank in range(3)]
    assert [job.stdout.readline() for job in jobs] == ["ready\n"] * 3
    shared = temporary / f"wrp-{os.getuid()}.kernels"
    assert list(temporary.iterdir()) == ([] if cache == "cache" else [shared])
    assert cache == "cache" or os.stat(shared).st_mode & 0o777 == 0o700
    for job in jobs:
        job.stdin.write("go\n")
        job.stdin.flush()
    found = [job.communicate(timeout=60) for job in jobs]
    assert sorted(int(out) for out, _ in found) == [0, 1, 1]
    notes = "".join(err for _, err in found)
    assert notes.count("\n") == notes.count("set WRP_CACHE_DIR to a folder that you can write") == (cache == "file") and found[0][1] == notes
    assert list(temporary.iterdir()) == []


def test_a_turn_that_never_comes_is_not_waited_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "_WAIT_S", 0.05)
    path = tmp_path / "lock"
    with open(path, "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        turn = compiling._Turn(path)
        turn.enter()
        turn.leave()
        monkeypatch.setattr(compiling, "_WAIT_S", 1000)
        started = time.monotonic()
        turn.enter()
        turn.leave()
        assert time.monotonic() - started < 100


def test_a_full_disk_costs_only_the_cache(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    function = kernel(lambda a: a + 41)
    monkeypatch.setattr(function._cache.files._cache_file, "save", full)
    monkeypatch.setattr(function._cache.files._cache_file, "load", full)
    assert function(1) == 42


def test_a_kernel_that_does_not_compile_lets_others_compile():
    @kernel
    def wrong(number):
        return number.nothing_of_an_integer

    @kernel
    def calls_it(number):
        return wrong(number)

    for function in (wrong, calls_it):
        with pytest.raises(TypingError):
            function(1)
        assert function._cache._turn._depth == 0
