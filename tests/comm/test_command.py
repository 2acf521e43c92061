"""Standard output that can't be written: one sentence and exit code 1."""

import subprocess
import sys

import pytest

from harness.mpirun import job_environment

SPEAKS = """
import sys
from wrp.comm.command import say
from wrp.comm.ranks import run
sys.exit(run(lambda ranks: [say("x" * 1000) for _ in range(1000)] and 0))
"""


@pytest.mark.parametrize("where, sentence", [
    ("| head -c 1 >/dev/null", "closed by its reader"),
    (">/dev/full", "No space left on device"),
    (">&-", "standard output is closed"),
])
def test_output_that_cannot_be_written_is_one_sentence(where, sentence):
    done = subprocess.run(["bash", "-o", "pipefail", "-c", f'"$0" -c "$1" {where}', sys.executable, SPEAKS],
                          capture_output=True, text=True, timeout=60, env=job_environment())
    assert done.returncode == 1 and sentence in done.stderr
    assert done.stderr.startswith("wrp: ") and done.stderr.count("\n") == 1
