"""Programs whose calls the kernel holds: also static ones, which no library is loaded into."""

import shutil
import subprocess

import pytest

from capio.served import document, ended, killed, needs_compiler
from wrp.capio import shim
from wrp.capio.commands import doctor

pytestmark = pytest.mark.skipif(bool(doctor._tried(doctor._seccomp)), reason="the kernel doesn't let calls be held here")

_PROGRAM = """#include <stdio.h>
#include <string.h>
int main(int n, char **a) {
    char line[100];
    FILE *from = strcmp(a[1], "-") ? fopen(a[1], "r") : stdin, *to = n > 2 ? fopen(a[2], "w") : stdout;
    if (!from || !to) { perror(a[1]); return 1; }
    while (fgets(line, sizeof line, from)) fputs(line, to);
    return fclose(to) != 0; }
"""


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """A statically linked program that copies lines."""
    folder = tmp_path_factory.mktemp("static")
    (folder / "copy.c").write_text(_PROGRAM)
    done = subprocess.run([shim.compiler(), "-static", "-o", folder / "copy", folder / "copy.c"], capture_output=True)
    if done.returncode:
        pytest.skip("no static libc")
    return folder / "copy"


_READERS = ("cat $F", "cat < $F", "cd $(dirname $F); sort $(basename $F)", "stat $F > /dev/null && tac $F | tac")


@pytest.mark.parametrize("mode", ["n", "u"])
@pytest.mark.parametrize("number", range(len(_READERS)))
def test_reader(streaming, number, mode):
    """no_update waits as update does."""
    path = streaming.dir / f"seccomp{number}.{mode}"
    read = streaming.launch("reader", f"F={path}; {_READERS[number]}", "seccomp")
    streaming.wait_waiting()
    wrote = streaming.start("writer", f"{{ echo 1; sleep 0.1; echo 2; }} > {path}", via=None)
    assert ended(wrote)[0] == 0 and ended(read)[:2] == (0, b"1\n2\n")


@pytest.mark.skipif(shutil.which("busybox") is None, reason="no busybox")
@pytest.mark.parametrize("mode", ["n", "u"])
def test_busybox_on_both_sides(streaming, mode):
    """Whether it is linked statically or not: no library is loaded into it."""
    text = "".join(f"line {number}\n" for number in range(5000))
    (streaming.folder / "lines").write_text(text)
    names = " ".join(f"{name}=$CAPIO_DIR/busybox-{name}.{mode}" for name in ("cat", "cp", "sed", "tee"))
    read = streaming.launch("reader", f"{names}; busybox cat $cat; busybox cp $cp copy-{mode}; busybox cat copy-{mode}; busybox sed '' $sed; busybox wc -c < $tee",
                            "seccomp")
    streaming.wait_waiting()
    wrote = streaming.launch("writer", f"{names}; busybox cat lines > $cat; busybox cp lines $cp; busybox sed '' lines > $sed; "
                             "busybox sh -c \"busybox cat lines | busybox tee $tee > /dev/null\"", "seccomp")
    assert ended(wrote)[::2] == (0, "")
    assert ended(read) == (0, (text * 3 + f"{len(text)}\n").encode(), "")


@needs_compiler
def test_static_programs(make_flow, static):
    flow = make_flow(document(**{"a": "on_close update"}))
    read = flow.launch("reader", [static, flow.dir / "a"], "seccomp")
    flow.wait_waiting()
    assert ended(flow.launch("writer", f"printf 'x\\ny\\n' | {static} - $CAPIO_DIR/a", "seccomp"))[0] == 0
    assert ended(read)[:2] == (0, b"x\ny\n")


@needs_compiler
def test_a_static_writer_and_a_reader_with_the_shim(make_flow, static):
    flow = make_flow(document(**{"a": "on_close no_update"}))
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    flow.wait_waiting()
    assert ended(flow.launch("writer", f"printf 'x\\ny\\n' | {static} - $CAPIO_DIR/a", "seccomp"))[0] == 0
    assert ended(read)[:2] == (0, b"x\ny\n")


def test_a_killed_producer_is_an_error(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    wrote = flow.launch("writer", "exec sleep 60 > $CAPIO_DIR/a", "seccomp")
    read = flow.launch("reader", "cat $CAPIO_DIR/a", "seccomp")
    flow.wait_waiting()
    flow.wait_for(lambda status: any(file["writers"] for file in status["files"]) or (flow.dir / "a").exists())
    killed(wrote)
    code, _, said = ended(read)
    assert code == 1 and "capio: " in said and "'writer'" in said


def test_other_calls_and_errors_are_as_ever(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    code, out, said = ended(flow.launch("writer", "cd $CAPIO_DIR; cat nothing; mkdir -p d/e; echo 1 > d/e/f; mv d/e/f d/g; cat d/g; ls /nowhere; exit 7", "seccomp"))
    assert (code, out) == (7, b"1\n") and said.count("No such file or directory") == 2


def test_a_program_that_isnt_there(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    code, _, said = ended(flow.launch("writer", ["nonesuch"], "seccomp"))
    assert code != 0 and "writer: cannot start nonesuch: No such file" in said
