"""By whatever words a program names a file below CAPIO_DIR it is that file, in each way of seeing its calls; what lies beside CAPIO_DIR is plain."""

import os
import sys

import pytest

from capio.served import Flow, document, ended, needs_compiler
from wrp.capio.commands import doctor

_LOOK = "import os, sys\nprint(open(sys.argv[1]).read(), end='')"
_AT = "import os, sys\nfolder = os.open(sys.argv[1], os.O_RDONLY)\nprint(os.read(os.open(sys.argv[2], os.O_RDONLY, dir_fd=folder), 100).decode(), end='')"
# (the working directory, words), of the folder that data, which is CAPIO_DIR, lies in
_NAMED = {
    "absolute": ("/", "{here}/data/{name}"), "from above": ("{here}", "data/{name}"), "from inside": ("{here}/data", "{name}"), "from below": ("{here}/data/sub", "../{name}"),
    "dots": ("{here}", "./data/../data/./sub/../{name}"), "slashes": ("/", "/{here}//data///{name}"), "around": ("{here}/beside", "../data/{name}"),
    "through a link that is CAPIO_DIR": ("{here}", "{here}/link/{name}"), "inside the link": ("{here}/link", "{name}")}


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paths")
    for name in ("data/sub", "beside", "databeside"):
        (folder / name).mkdir(parents=True)
    (folder / "link").symlink_to("data")
    made = Flow(folder, document("paths", **{"f-*": "on_close update"}))
    made.hold("writer", "reader")
    yield made
    made.end()


@pytest.mark.parametrize("via", [pytest.param("shim", marks=needs_compiler), "python", "seccomp"])
@pytest.mark.parametrize("named", _NAMED)
def test_a_reader_waits_for_a_file_however_it_is_named(flow, named, via):
    if via == "seccomp" and "link/" in _NAMED[named][1]:
        pytest.skip("capio run gives its programs the directory that the link leads to")
    if via == "seccomp" and doctor._tried(doctor._seccomp):
        pytest.skip("the kernel doesn't let calls be held here")
    name = f"f-{via}-{list(_NAMED).index(named)}"
    cwd, words = (text.format(here=flow.folder, name=name) for text in _NAMED[named])
    look = f"{sys.executable} -c \"{_LOOK}\"" if via == "python" else "cat"
    _read(flow, via, f"cd {cwd} && exec {look} {words}", name, link="link" in named)


@needs_compiler
def test_a_reader_waits_for_a_file_at_a_directory(flow):
    for number, (folder, words) in enumerate((("data", "{}"), (".", "data/{}"), ("data/sub", "../{}"))):
        name = f"f-at-{number}"
        _read(flow, "shim", f"exec {sys.executable} -c \"{_AT}\" {folder} {words.format(name)}", name)


def _read(flow, via, command, name, link=False):
    more = {"CAPIO_DIR": str(flow.folder / "link")} if link else {}
    if via == "seccomp":
        read = flow.launch("reader", command, via)
    else:
        read = flow.start("reader", command, via=via, **more)
    flow.wait_waiting()
    assert ended(flow.start("writer", f"echo {name} > {flow.dir}/{name}", via=None))[0] == 0
    assert ended(read) == (0, f"{name}\n".encode(), "")


@needs_compiler
def test_names_beside_the_directory_are_plain(flow):
    (flow.folder / "databeside" / "f").write_text("plain\n")
    assert flow.run("reader", f"cat databeside/f data/../databeside/f; cat data/../f-never {flow.dir}beside/f-never")[:2] == (1, b"plain\nplain\n")
    assert not os.path.exists(flow.dir / "f-never")


_AGAIN = {"stream": "cat /dev/stdin < $F", "number": "cat /dev/fd/4 4< $F", "process": "cat /proc/self/fd/0 < $F",
          "python": f"{sys.executable} -c 'print(open(\"/dev/stdin\").read(), end=\"\")' < $F", "other": "exec 4< $F; cat /proc/$$/fd/4; true", "fopen": "sed '' /dev/stdin < $F"}


@pytest.mark.parametrize("via", [pytest.param("shim", marks=needs_compiler), "python", "seccomp"])
@pytest.mark.parametrize("named", _AGAIN)
def test_a_growing_file_that_is_opened_by_the_name_of_a_descriptor_is_read_to_its_end(streaming, named, via):
    if via == "python" and named != "python":
        pytest.skip("it sees programs in Python")
    if via == "seccomp" and doctor._tried(doctor._seccomp):
        pytest.skip("the kernel doesn't let calls be held here")
    path = streaming.dir / f"again-{named}-{via}.n"
    wrote = streaming.start("writer", f"exec 3> {path}; echo first >&3; echo made; read; echo other >&3", via=None, stdin=True)
    assert wrote.stdout.readline() == b"made\n"
    read = (streaming.launch if via == "seccomp" else streaming.start)("reader", f"export F={path}; {_AGAIN[named]}", via)
    streaming.wait_waiting()
    wrote.communicate(b"\n")
    assert ended(read) == (0, b"first\nother\n", "")
