"""Every marked example of the documents runs, in its order, in a folder that looks like the root of a clone."""

import shlex
import shutil
import subprocess
import sys

import pytest

from docs import documents
from harness.bound import bound_from_afar
from harness.mpirun import find_mpirun, job_environment

COMMANDS = {"wrp_cae_omni": "wrp.cae.cli", "wrp_cee": "wrp.cee.cli", "wrp-runtime": "wrp.runtime.commands.cli", "wrp_cte_bench": "wrp.cte.bench.cli",
            "capio": "wrp.capio.commands.cli"}
DOCUMENTS = [path for path in documents.paths() if documents.blocks(path)]


@pytest.fixture
def clone(tmp_path):
    """A folder with the examples, the quickstart's input and a bin/ whose commands use this Python."""
    quickstart = tmp_path / "examples" / "quickstart"
    quickstart.mkdir(parents=True)
    for name in ("simulate.py", "jobs.yaml"):
        shutil.copy(documents.ROOT / "examples" / "quickstart" / name, quickstart)
    shutil.copytree(documents.ROOT / "examples" / "streaming", tmp_path / "examples" / "streaming")
    subprocess.run([sys.executable, quickstart / "simulate.py", "--mib", "1"], check=True, timeout=60)
    (tmp_path / "bin").mkdir()
    for name, module in COMMANDS.items():
        script(tmp_path / "bin" / name, f'exec {sys.executable} -m {module} "$@"')
    # an example leaves it in the background
    script(tmp_path / "bin" / "wrp-runtime", f'exec {shlex.join(bound_from_afar([sys.executable, "-m", COMMANDS["wrp-runtime"]]))} "$@"')
    script(tmp_path / "bin" / "mpirun", f'PATH={tmp_path / "bin"}:$PATH exec {find_mpirun()} "$@"')
    script(tmp_path / ".venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    return tmp_path


def script(path, line):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def test_documents_have_examples():
    assert documents.ROOT / "README.md" in DOCUMENTS


@pytest.mark.timeout(300)            # a document is up to ten programs, one after the other, each with its own limit
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_examples_run(document, clone):
    blocks = documents.blocks(document)
    if find_mpirun() is None and any("mpirun" in block.text for block in blocks):
        pytest.skip("no mpirun here")
    for block in blocks:
        if block.file:
            (clone / block.file).write_text(block.text)
            continue
        parts = [[sys.executable, "-c", block.text]] if block.language == "python" else \
            [["bash", "-c", command] for command in block.commands()]
        assert parts, f"{block.document}:{block.line} has nothing to run"
        for part in parts:
            done = subprocess.run(part, cwd=clone, env=job_environment(), capture_output=True, text=True, timeout=120,
                                  stdin=subprocess.DEVNULL)
            assert done.returncode == 0, f"{block.document}:{block.line}: {part[-1]}\n{done.stdout}{done.stderr}"
            assert "Traceback" not in done.stderr
