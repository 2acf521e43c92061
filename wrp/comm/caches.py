"""The user's folder of what was made once and may be made again: where it is, which of its folders are in use, and an end for the others.

Each version of a kernel, of Numba, of Python and of the shim has a folder of its own. Whoever uses one says so once in a process,
by the folder's time of change; home folders are small, so what nobody has used for two months is removed at the next set-up.
"""
import os
import shutil
import sys
import time
from functools import lru_cache
from pathlib import Path

_DAY_S = 86400
_KEPT_S = 60 * _DAY_S
_DIGEST = 16 * "[0-9a-f]"        # WRP_CACHE_DIR may hold what others have made: only such names are of this library
_KINDS = (f"kernels-*/*-{_DIGEST}", f"shim-{_DIGEST}")
_OLD_SHIMS = f"capio-{_DIGEST}/libcapio_posix.so"        # what the shim's folders were called once, as those of servers are, which may lie here too
_notes = []


def root():
    """WRP_CACHE_DIR, or ~/.cache/wrp, as a Path; not made."""
    return Path(os.environ.get("WRP_CACHE_DIR") or os.path.expanduser("~/.cache/wrp"))


def note(sentence):
    """Have rank 0 say this on standard error when this process first uses one of the folders."""
    _notes.append(sentence)


@lru_cache(maxsize=None)
def mark(folder):
    """Say that this process uses `folder` (a path). Written at most once a day; without a right to write nothing is said."""
    if _notes:
        _tell(_notes.pop())
    try:
        if time.time() - os.stat(folder).st_mtime > _DAY_S:
            os.utime(folder)
    except OSError:
        pass                # it is used all the same


def _tell(sentence):
    from wrp.comm.ranks.job import speaks       # which has kernels itself
    if speaks():
        print(f"wrp: note: {sentence}", file=sys.stderr, flush=True)


def remove_unused():
    """Remove the folders that no process has used for 60 days, and what they leave empty. Local; what can't be removed stays."""
    for folder in [*(folder for kind in _KINDS for folder in root().glob(kind)), *(shim.parent for shim in root().glob(_OLD_SHIMS))]:
        try:
            if folder.is_dir() and time.time() - folder.stat().st_mtime > _KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)
                if folder.parent != root():
                    folder.parent.rmdir()
        except OSError:
            continue    # somebody else removed it, or others are beside it
