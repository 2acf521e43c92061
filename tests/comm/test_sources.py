"""What a module is made of: the digest that names the folder of its compiled kernels."""
import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wrp.comm import sources

TOP = Path(sources._TOP)


def _modules():
    for path in TOP.rglob("*.py"):
        yield ".".join(["wrp", *path.relative_to(TOP).with_suffix("").parts]).removesuffix(".__init__"), path


def _imported(path):
    """The modules of wrp that a file names in its imports, as the compiler sees them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "wrp" and sources._file(name))


def test_finds_what_the_compiler_finds():
    modules = dict(_modules())
    assert len(modules) > 300 and modules["wrp.comm.sources"] == Path(sources.__file__)
    for module, path in modules.items():
        missed = set(_imported(path)) - sources.reached(module)
        assert not missed, f"{module} imports {missed}"


def test_reaches_no_more_than_it_imports():
    assert sources.reached("wrp.comm.sizes") == {"wrp.comm.sizes", "wrp.errors"}


_NAMES = "wrp.comm.ways", "wrp.runtime.postman.quick", "wrp.comm.lock"      # the second imports the first
_FOLDERS = f"""
from wrp.comm import jit
print(*(jit.cache_folder(module).rsplit("/")[-1] for module in {_NAMES}))
"""
_COMPILES = """
import numpy as np
from wrp.comm.lock import token_take
word = np.zeros(1, np.int64)
assert token_take(word.ctypes.data, 7) == 0 and word[0] == 7
print(sum(token_take.stats.cache_hits.values()))
"""


@pytest.fixture
def clone(tmp_path):
    """Makes clones: of what they have, only their path and times differ."""
    def make(name):
        shutil.copytree(TOP, tmp_path / name / "wrp", ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
        return tmp_path / name
    return make


def _said(clone, script, cache):
    """What a script prints whose wrp is the one of a clone."""
    environ = {**os.environ, "PYTHONPATH": str(clone), "WRP_CACHE_DIR": str(cache)}
    script += f"import wrp\nassert wrp.__file__.startswith({str(clone)!r})\n"
    done = subprocess.run([sys.executable, "-c", script], env=environ, cwd=clone, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_change_renames_the_folders_of_those_that_import_it_and_no_other(clone, tmp_path):
    changed = clone("changed")
    before = _said(changed, _FOLDERS, tmp_path)
    assert before == [f"{module}-{sources.digest(module)}" for module in _NAMES]        # as in this clone
    with open(changed / "wrp" / "comm" / "ways.py", "a") as file:
        file.write("# changed\n")
    assert [old == new for old, new in zip(before, _said(changed, _FOLDERS, tmp_path))] == [False, False, True]


def test_clones_of_the_same_source_share_what_one_has_compiled(clone, tmp_path):
    assert [_said(clone(name), _COMPILES, tmp_path) for name in ("one", "other")] == [["0"], ["1"]]
