"""The decorator of kernels and its cache folders."""
import os

from numba import config

from wrp.comm import jit
from wrp.comm.jit import kernel


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


def test_each_floor_has_its_own_private_folder_and_numba_keeps_its_own():
    comm, cte, user = (jit.cache_folder(module) for module in ("wrp.comm.ring", "wrp.cte.catalog", "somebody.module"))
    assert comm != cte and cte == user
    assert os.stat(comm).st_mode & 0o022 == 0
    assert config.CACHE_DIR != comm


def test_a_folder_that_cannot_be_used_is_replaced_by_a_private_one(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WRP_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = jit._folder.__wrapped__(1)
    assert os.path.isdir(folder) and os.stat(folder).st_mode & 0o077 == 0
    os.rmdir(folder)
