"""The file calls of POSIX, in and outside CAPIO_DIR, seen in each way: no program notices."""

import re
import sys
import tempfile
from pathlib import Path

import pytest

from capio import posix_program
from capio.served import document, ended, needs_compiler
from wrp.capio.commands import doctor, storage

_PROGRAM = Path(posix_program.__file__)
_LINKS_SHOW = {"shim": {"links"}, "python": {"attributes", "links"}, "seccomp": {"attributes", "links"}}
_MAY_SHOW = {"unlink_while_open"}       # to who isn't the shim: the server may be a moment late


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


@pytest.mark.skipif(storage.is_in_memory(tempfile.gettempdir()), reason="the folder of tests is in memory")
@pytest.mark.parametrize("via", [pytest.param("shim", marks=needs_compiler), "python", "seccomp"])
def test_posix_of_files_that_lie_elsewhere(make_flow, via):
    if via == "seccomp" and doctor._tried(doctor._seccomp):
        pytest.skip("the kernel doesn't let calls be held here")
    flow = make_flow(document(**{"**": "on_close no_update"}) | {"storage": {"memory": ["*"]}})
    command = f"cd {flow.dir} && exec {sys.executable} {_PROGRAM}"
    _, out, said = ended(flow.launch("writer", command, "seccomp") if via == "seccomp" else flow.start("writer", command, via=via))
    assert not said and set(re.findall(r"^(\w+): Traceback", out.decode(), re.MULTILINE)) - (_MAY_SHOW if via != "shim" else set()) == _LINKS_SHOW[via], out.decode()
