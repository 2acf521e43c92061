"""Every marked example of the documents runs, in its order, in a folder that looks like the root of a clone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import documents  # noqa: E402

COMMANDS = {"wrp_cae_omni": "wrp.cae.cli", "wrp_cee": "wrp.cee.cli"}
MPIRUN = shutil.which("mpirun", path=os.path.dirname(sys.executable)) or shutil.which("mpirun")
DOCUMENTS = [path for path in documents.paths() if documents.blocks(path)]


@pytest.fixture
def clone(tmp_path):
    """A folder with the quickstart's input and a bin/ whose commands use this Python."""
    quickstart = tmp_path / "examples" / "quickstart"
    quickstart.mkdir(parents=True)
    for name in ("simulate.py", "jobs.yaml"):
        shutil.copy(documents.ROOT / "examples" / "quickstart" / name, quickstart)
    subprocess.run([sys.executable, quickstart / "simulate.py", "--mib", "1"], check=True, timeout=60)
    (tmp_path / "bin").mkdir()
    for name, module in COMMANDS.items():
        script(tmp_path / "bin" / name, f'exec {sys.executable} -m {module} "$@"')
    script(tmp_path / "bin" / "mpirun", f'exec {MPIRUN} "$@"')
    script(tmp_path / ".venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    return tmp_path


def script(path, line):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def environment(clone):
    """As bin/mpirun sets it, with the folder's own commands first and the tree under test importable."""
    return dict(os.environ, PATH=f"{clone / 'bin'}:{os.environ['PATH']}", PYTHONPATH=str(documents.ROOT),
                OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                PRTE_MCA_rmaps_default_mapping_policy=":oversubscribe", PRTE_MCA_hwloc_default_binding_policy="none",
                OMPI_MCA_mpi_yield_when_idle="1")


def test_documents_have_examples():
    assert Path(documents.ROOT / "README.md") in DOCUMENTS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_examples_run(document, clone):
    blocks = documents.blocks(document)
    if MPIRUN is None and any("mpirun" in block.text for block in blocks):
        pytest.skip("no mpirun here")
    for block in blocks:
        if block.file:
            (clone / block.file).write_text(block.text)
            continue
        parts = [[sys.executable, "-c", block.text]] if block.language == "python" else \
            [["bash", "-c", command] for command in block.commands()]
        assert parts, f"{block.document}:{block.line} has nothing to run"
        for part in parts:
            done = subprocess.run(part, cwd=clone, env=environment(clone), capture_output=True, text=True, timeout=120,
                                  stdin=subprocess.DEVNULL)
            assert done.returncode == 0, f"{block.document}:{block.line}: {part[-1]}\n{done.stdout}{done.stderr}"
            assert "Traceback" not in done.stderr
