"""The file calls of POSIX, in and outside CAPIO_DIR, seen in each way: no program notices."""

import sys
from pathlib import Path

import pytest

from capio import posix_program
from capio.served import document, ended, needs_compiler
from wrp.capio.commands import doctor

_PROGRAM = Path(posix_program.__file__)


@pytest.mark.parametrize("where", ["inside", "outside"])
@pytest.mark.parametrize("via", [None, pytest.param("shim", marks=needs_compiler), "python", "seccomp"])
def test_posix(make_flow, tmp_path, via, where):
    if via == "seccomp" and doctor._tried(doctor._seccomp):
        pytest.skip("the kernel doesn't let calls be held here")
    flow = make_flow(document(**{"**": "on_close no_update"}))
    folder = flow.dir if where == "inside" else tmp_path / "elsewhere"
    folder.mkdir(exist_ok=True)
    command = f"cd {folder} && exec {sys.executable} {_PROGRAM}"
    code, out, said = ended(flow.launch("writer", command, "seccomp") if via == "seccomp" else flow.start("writer", command, via=via))
    assert (code, said) == (0, ""), out.decode()
