"""A job that writes through MPI-IO and one that reads so, started at the same time: the readers wait in open until the writers' step has ended."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from capio import mpi_io_program
from capio.served import document, needs_compiler
from harness.mpirun import find_mpirun, job_environment, needs_mpirun

_RULE = "on_termination update"


@needs_compiler
@needs_mpirun
@pytest.mark.timeout(120)
def test_two_jobs(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "wf.json").write_text(json.dumps(document(permanent=["strided"], contiguous=_RULE, strided=_RULE, repeated=_RULE)))
    job = [find_mpirun(), "-n", "2", sys.executable, mpi_io_program.__file__]
    steps = {step: [*job, what, str(tmp_path / "data")] for step, what in (("writer", "write"), ("reader", "read"))}
    (tmp_path / "steps.yaml").write_text(json.dumps(steps))
    done = subprocess.run([sys.executable, "-m", "wrp.capio.commands.cli", "run", "-c", "wf.json", "--dir", "data", "--all", "steps.yaml", "--json"],
                          cwd=tmp_path, env=job_environment(), capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert next(step for step in report["steps"] if step["step"] == "reader")["waited_s"] > 0
    assert os.listdir(tmp_path / "data") == ["strided"] and _interleaved(tmp_path / "data" / "strided")


def _interleaved(path: Path):
    """The first numbers of blocks, in the order of the file: those of the ranks take turns."""
    first = memoryview(path.read_bytes()).cast("q")[::mpi_io_program.NUMBERS]
    return first.tolist() == [1_000_000 * rank + 1000 * number for number in range(mpi_io_program.BLOCKS) for rank in (0, 1)]
