"""The user's folder of what can be made again: what is used stays, what isn't goes, and nothing else is touched."""
import os
import subprocess
import sys
import time

import pytest

from wrp.comm import caches

_DIGEST = "0123456789abcdef"
_LONG_AGO = time.time() - 61 * 86400


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("WRP_CACHE_DIR", str(tmp_path))
    return tmp_path


def _old(folder, holds="code"):
    folder.mkdir(parents=True)
    (folder / holds).write_bytes(b"\1")
    os.utime(folder, (_LONG_AGO, _LONG_AGO))
    return folder


def test_what_nobody_has_used_for_two_months_goes_and_nothing_else(root):
    gone = [_old(root / "kernels-1-x" / f"ring-{_DIGEST}"), _old(root / f"shim-{_DIGEST}"), _old(root / f"capio-{_DIGEST}", "libcapio_posix.so")]
    kept = [_old(root / "kernels-2-x" / f"ring-{_DIGEST}"), _old(root / f"shim-{_DIGEST[::-1]}"), _old(root / f"capio-{_DIGEST[::-1]}"),
            *(_old(root / name) for name in ("mine", "shim-results", "kernels-of-mine/run-1"))]
    for folder in kept[:2]:
        caches.mark(folder)
    (root / "speeds.json").write_text("{}")
    caches.remove_unused()
    assert not any(folder.exists() for folder in gone) and not gone[0].parent.exists()
    assert all((folder / "code").exists() for folder in kept) and (root / "speeds.json").exists()


def test_a_folder_is_marked_once_a_day_and_none_is_made(root):
    folder, new = _old(root / "shim-1"), root / "shim-2"
    caches.mark(folder)
    assert time.time() - folder.stat().st_mtime < 60
    yesterday = time.time() - 80000
    os.utime(folder, (yesterday, yesterday))
    caches.mark.cache_clear()
    caches.mark(folder)
    caches.mark(new)
    assert folder.stat().st_mtime == pytest.approx(yesterday, abs=1) and not new.exists()


def test_a_kernel_that_is_loaded_marks_its_folder(root):
    call = [sys.executable, "-c", "from wrp.comm import atomics, jit; print(jit.cache_folder(atomics.__name__)); atomics.pause()"]
    folder = subprocess.run(call, capture_output=True, text=True, check=True, timeout=200).stdout.strip()
    os.utime(folder, (_LONG_AGO, _LONG_AGO))
    subprocess.run(call, check=True, timeout=200, stdout=subprocess.DEVNULL)
    assert time.time() - os.stat(folder).st_mtime < 300
