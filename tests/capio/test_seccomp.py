"""Programs whose calls the kernel holds: also static ones, which no library is loaded into."""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from capio.served import document, ended, killed, needs_compiler
from wrp.capio import language, shim
from wrp.capio.commands import doctor, launching
from wrp.capio.seccomp import calls, growing, kernel, supervisor, waits

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
    path = streaming.dir / f"seccomp{number}.{mode}"
    read = streaming.launch("reader", f"F={path}; {_READERS[number]}", "seccomp")
    streaming.wait_waiting()
    wrote = streaming.start("writer", f"{{ echo 1; sleep 0.1; echo 2; }} > {path}", via=None)
    assert ended(wrote)[0] == 0 and ended(read)[:2] == (0, b"1\n2\n")


_READING = """import os, sys
file, at = os.open(os.environ["F"], os.O_RDONLY), 0
while at < 12:
    if sys.argv[1] == "pread":
        os.write(1, os.pread(file, 6, at))
    elif sys.argv[1] == "readv":
        room = bytearray(6)
        os.write(1, room[:os.readv(file, [room])])
    else:
        os.sendfile(1, file, at, 6)
    at += 6
"""
_GROWING = {"cat": "cat $F", "busybox cat": "busybox cat $F", "cat, redirected": "cat < $F", "a loop": "while read line; do echo $line; done < $F",
            "dd": "dd if=$F bs=6 status=none", "busybox dd": "busybox dd if=$F bs=6 2> /dev/null", "busybox sh, redirected": "busybox sh -c 'busybox cat < $F'",
            "busybox sh, a loop": "busybox sh -c 'while read line; do echo $line; done < $F'",
            **{call: f"{sys.executable} -c '{_READING}' {call}" for call in ("pread", "readv", "sendfile")}}


@pytest.mark.parametrize("name", _GROWING)
def test_a_growing_file_is_read_as_it_is_written(streaming, name):
    if name.startswith("busybox") and shutil.which("busybox") is None:
        pytest.skip("no busybox")
    path = streaming.dir / f"growing-{re.sub('[^a-z]+', '-', name)}.n"
    read = streaming.launch("reader", f"export F={path}; {_GROWING[name]}", "seccomp")
    streaming.wait_waiting()
    wrote = streaming.start("writer", f"exec 3> {path}; echo first >&3; read; echo other >&3", via=None, stdin=True)
    assert read.stdout.read(6) == b"first\n" and wrote.poll() is None
    time.sleep(0.2)
    assert wrote.poll() is None and read.poll() is None
    wrote.stdin.write(b"\n")
    assert ended(wrote)[0] == 0 and ended(read)[:2] == (0, b"other\n")


def test_what_needs_all_of_a_growing_file_waits_for_its_end(streaming):
    """Its descriptor is copied where nobody would see what is read of it; it is mapped; its end is looked for."""
    program = ("import ctypes, os\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_void_p\nfile = os.open(os.environ['F'], os.O_RDONLY)\nkind = os.environ['KIND']\n"
               "if kind == 'dup': print(os.read(os.dup(file), 100))\nif kind == 'dup2': os.dup2(file, 5); print(os.read(5, 100))\n"
               "if kind == 'mmap': print(ctypes.string_at(libc.mmap(None, ctypes.c_size_t(12), 1, 2, file, ctypes.c_long(0)), 12))\nif kind == 'end': print(os.lseek(file, 0, 2), os.pread(file, 100, 0))\n"
               "if kind == 'high': high = os.dup2(file, 900); print(os.read(high, 6) + os.read(high, 6))\n")
    path, kinds = streaming.dir / "needs-all.n", ("dup", "dup2", "mmap", "end", "high")
    reads = [streaming.launch("reader", ["env", f"F={path}", f"KIND={kind}", sys.executable, "-c", program], "seccomp") for kind in kinds]
    streaming.wait_waiting(len(kinds))
    wrote = streaming.start("writer", f"{{ echo first; sleep 0.4; echo other; }} > {path}", via=None)
    assert ended(wrote)[0] == 0
    outs = {kind: ended(read) for kind, read in zip(kinds, reads)}
    assert outs == {kind: (0, b"12 b'first\\nother\\n'\n", "") if kind == "end" else (0, b"b'first\\nother\\n'\n", "") for kind in kinds}


def test_a_killed_producer_ends_a_read_that_waits(make_flow):
    flow = make_flow(document(**{"a": "on_close no_update"}))
    wrote = flow.start("writer", "exec 3> $CAPIO_DIR/a; echo some >&3; exec sleep 60")
    read = flow.launch("reader", "cat $CAPIO_DIR/a", "seccomp")
    assert read.stdout.readline() == b"some\n"
    killed(wrote)
    code, _, said = ended(read)
    assert code == 1 and "'writer'" in said and "SIGKILL" in said


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


@needs_compiler
def test_an_open_that_cannot_make_its_file_closes_nothing(make_flow):
    flow = make_flow(document(**{"a": "on_close:9 update"}))
    flow.hold("writer")
    assert flow.run("writer", "echo > $CAPIO_DIR/a", via=None)[0] == 0
    code = "import os, time\ntry: os.open(os.environ['CAPIO_DIR'] + '/a', os.O_CREAT | os.O_EXCL | os.O_WRONLY)\nexcept FileExistsError: print('there', flush=True)\ntime.sleep(60)"
    fails = flow.launch("writer", [sys.executable, "-c", code], "seccomp")
    assert fails.stdout.readline() == b"there\n"
    assert flow.run("writer", "echo >> $CAPIO_DIR/a")[0] == 0
    flow.wait_for(lambda status: status["files"][0]["closes"] >= 2)
    assert flow.run("writer", "echo >> $CAPIO_DIR/a")[0] == 0
    flow.wait_for(lambda status: status["files"][0]["closes"] >= 3)
    time.sleep(0.1)
    assert flow.status()["files"][0]["closes"] == 3 and not flow.status()["files"][0]["writers"]
    killed(fails)


def test_other_calls_and_errors_are_as_ever(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    code, out, said = ended(flow.launch("writer", "cd $CAPIO_DIR; cat nothing; mkdir -p d/e; echo 1 > d/e/f; mv d/e/f d/g; cat d/g; ls /nowhere; exit 7", "seccomp"))
    assert (code, out) == (7, b"1\n") and said.count("No such file or directory") == 2


def test_a_program_that_isnt_there(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    code, _, said = ended(flow.launch("writer", ["nonesuch"], "seccomp"))
    assert code != 0 and "writer: cannot start nonesuch: No such file" in said


@needs_compiler
def test_an_open_of_nothing_that_makes_nothing_closes_nothing(make_flow):
    flow = make_flow(document(**{"a": "on_close:9 update"}))
    flow.hold("writer")
    code = "import os, time\ntry: os.open(os.environ['CAPIO_DIR'] + '/a', os.O_RDWR)\nexcept FileNotFoundError: print('none', flush=True)\ntime.sleep(60)"
    fails = flow.launch("writer", [sys.executable, "-c", code], "seccomp")
    assert fails.stdout.readline() == b"none\n"
    assert flow.run("writer", "echo > $CAPIO_DIR/a")[0] == 0
    flow.wait_for(lambda status: status["files"][0]["closes"] >= 1)
    time.sleep(0.1)
    assert flow.status()["files"][0]["closes"] == 1 and not flow.status()["files"][0]["writers"]
    killed(fails)


_SIGNALS = """import os, signal, threading, time
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, os.environ["AGAIN"] == "by itself")
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(open(os.environ["F"]).read(), end="", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("again", ["by itself", "by the kernel"])
@pytest.mark.parametrize("mode", ["n", "u"])
def test_a_call_that_signals_interrupt_waits_once(streaming, mode, again):
    path = streaming.dir / f"signals-{again[-1]}.{mode}"
    wrote = streaming.start("writer", f"read; exec 3> {path}; echo first >&3; read; echo other >&3", via=None, stdin=True)
    read = streaming.launch("reader", ["env", f"F={path}", f"AGAIN={again}", sys.executable, "-c", _SIGNALS], "seccomp")
    for what in ("open", "bytes"):      # it waits for the file, then in the file
        streaming.wait_for(lambda status: [wait["what"] for wait in status["waiting"]] == [what])
        time.sleep(0.4)
        assert len(streaming.status()["waiting"]) == 1 and _threads(read.pid) < 6
        wrote.stdin.write(b"\n")
        wrote.stdin.flush()
        if mode == "u":
            break
    if mode == "u":
        wrote.stdin.write(b"\n")
    assert ended(wrote)[0] == 0 and ended(read)[:2] == (0, b"first\nother\n")


def _threads(pid):
    """How many a launcher has, with the child in which it supervises."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return max(len(os.listdir(f"/proc/{one}/task")) for one in (pid, *children))


def test_a_call_that_is_given_up_waits_no_more(streaming):
    code = """import os, signal, time
def enough(*_): raise TimeoutError
signal.signal(signal.SIGALRM, enough)
signal.alarm(1)
try: open(os.environ["F"])
except TimeoutError: print("given up", flush=True)
time.sleep(60)
"""
    read = streaming.launch("reader", ["env", f"F={streaming.dir / 'given-up.n'}", sys.executable, "-c", code], "seccomp")
    streaming.wait_waiting()
    assert read.stdout.readline() == b"given up\n"
    streaming.wait_for(lambda status: not status["waiting"])
    killed(read)


@pytest.mark.parametrize("limit, number", [("1000", 999), ("4096", 1023)])
def test_the_descriptor_of_a_growing_file_is_far_from_the_programs_own(streaming, limit, number):
    path = streaming.dir / f"number{limit}.n"
    code = "import os; file = os.open(os.environ['F'], os.O_RDONLY); print(file, os.read(file, 2), flush=True); os.read(file, 2)"
    read = streaming.launch("reader", f"ulimit -n {limit}; F={path} exec {sys.executable} -c \"{code}\"", "seccomp")
    wrote = streaming.start("writer", f"exec 3> {path}; echo 1 >&3; read", via=None, stdin=True)
    assert read.stdout.readline() == f"{number} b'1\\n'\n".encode()
    wrote.stdin.write(b"\n")
    assert ended(wrote)[0] == ended(read)[0] == 0


def test_a_number_that_the_program_has_chosen_itself_is_not_given(streaming):
    code = ("import fcntl, os\ntaken = os.dup2(0, 1023), fcntl.fcntl(0, fcntl.F_DUPFD, 1020)\nfor fd in taken: os.close(fd)\n"
            "file = os.open(os.environ['F'], os.O_RDONLY); print(taken, file, flush=True); os.read(file, 9)")
    path = streaming.dir / "chosen.n"
    read = streaming.launch("reader", ["env", f"F={path}", sys.executable, "-c", code], "seccomp")
    wrote = streaming.start("writer", f"exec 3> {path}; echo 1 >&3; read", via=None, stdin=True)
    assert read.stdout.readline() == b"(1023, 1020) 1019\n"
    wrote.stdin.write(b"\n")
    assert ended(wrote)[0] == ended(read)[0] == 0


_LAST_NUMBER = """import os, threading, time
free = []
while True:
    try: free.append(os.dup(2))
    except OSError: break
os.close(free.pop())
is_over, wrong = False, 0
def take():
    global wrong
    while not is_over:
        try: number = os.dup(2)
        except OSError: continue
        try: os.write(number, b"")          # a call that isn't held
        except OSError: wrong += 1
        os.close(number)
def read(name):
    try: os.close(os.open(name, os.O_RDONLY))
    except OSError: pass
takes = threading.Thread(target=take)
takes.start()
reads = [threading.Thread(target=read, args=(f"{os.environ['CAPIO_DIR']}/last{n}.n",)) for n in range(20)]
for one in reads:
    one.start()
    time.sleep(0.02)
print("begun", flush=True)
for one in reads: one.join()
is_over = True
takes.join()
print(wrong)
"""


def test_a_number_that_the_program_takes_meanwhile_is_not_given(streaming):
    """It has one left, which one thread takes and gives back while others open files that grow."""
    files = " ".join(f"last{n}.n" for n in range(20))
    wrote = streaming.start("writer", f"cd $CAPIO_DIR; for name in {files}; do exec {{fd}}> $name; done; echo made; read", via=None, stdin=True)
    assert wrote.stdout.readline() == b"made\n"
    read = streaming.launch("reader", f"ulimit -n 1024; exec {sys.executable} -c \"$PROGRAM\"", "seccomp", PROGRAM=_LAST_NUMBER)
    assert read.stdout.readline() == b"begun\n"
    wrote.communicate(b"\n")
    assert ended(read)[:2] == (0, b"0\n")


def test_what_is_kept_of_programs_goes_with_them():
    made = growing.Growing(-1, None)
    for _ in range(3):
        ready, end = os.pipe()
        pids = []
        for _ in range(growing._MOST_KEPT // 2):
            pids.append(os.fork())
            if not pids[-1]:
                os.close(end)
                os.read(ready, 1)
                os._exit(0)
            assert made.wanted(kernel.Notice(0, pids[-1], "dup2", (0, 900, 0, 0, 0, 0), 0)) is None
        os.close(end)
        os.close(ready)
        for pid in pids:
            os.waitpid(pid, 0)
    assert len(made._chosen) <= growing._MOST_KEPT


def test_a_file_without_a_name_stays_known_however_many_there_are(tmp_path):
    made, files = growing.Growing(-1, None), []
    for n in range(growing._MOST_KEPT + 2):
        files.append(open(tmp_path / f"{n}", "w"))
        made._keep(growing._life(os.fstat(files[-1].fileno())), str(tmp_path / f"{n}"))
        if n == 0:
            os.unlink(tmp_path / "0")
        if n == 1:
            os.rename(tmp_path / "1", tmp_path / "moved")
            (tmp_path / "1").write_text("another")
    try:
        first, second, third = (growing._life(os.fstat(file.fileno())) for file in files[:3])
        assert first in made._paths and third in made._paths and second not in made._paths
    finally:
        for file in files:
            file.close()


def test_a_call_that_cannot_be_answered_is_not_waited_for():
    end, listener = os.pipe()
    os.close(end)
    made = supervisor.Supervisor(listener, "w", "s", "/nowhere")
    made._answers.add(threading.current_thread())
    with pytest.raises(OSError):
        made._answer(waits.Wait(kernel.Notice(0, 0, "read", (), 5), ("/nowhere/a", 1), ""))
    assert not made._answers
    made.close()


_OPENS = """import os, sys
print(os.getpid(), flush=True)
sys.stdin.readline()
os.open(os.environ["CAPIO_DIR"] + "/a", os.O_WRONLY)
"""


@needs_compiler
@pytest.mark.parametrize("late_s", [0.2, 1.5], ids=["before the answer comes", "long before"])
def test_a_program_that_is_killed_before_its_open_leaves_no_writer_though_others_write(make_flow, late_s):
    flow = make_flow(document(**{"a": "on_close:9 update"}))
    flow.hold("writer")
    other = flow.start("writer", "exec > $CAPIO_DIR/a; read", stdin=True)
    flow.wait_for(lambda status: status["files"] and status["files"][0]["writers"])
    held = flow.launch("writer", [sys.executable, "-c", _OPENS], "seccomp", stdin=True)
    pid = int(held.stdout.readline())
    flow.server.send_signal(signal.SIGSTOP)
    try:
        held.stdin.write(b"\n")
        held.stdin.flush()
        time.sleep(0.3)                 # its call is held now, and the server asked
        os.kill(pid, signal.SIGKILL)
        time.sleep(late_s)
    finally:
        flow.server.send_signal(signal.SIGCONT)
    assert ended(held)[0] == 128 + signal.SIGKILL
    other.communicate(b"\n")
    flow.wait_for(lambda status: status["files"][0]["closes"])
    time.sleep(0.1)
    assert [flow.status()["files"][0][what] for what in ("closes", "writers")] == [1, 0]


def test_the_input_is_held_for_steps_only_that_may_read_what_grows():
    for with_input in (False, True):
        code, count = calls.program(with_input)
        lines = [struct.unpack_from("=HBBI", code, 8 * line) for line in range(count)]
        assert any(line[0] == 0x15 and line[3] == calls.INPUT and line[1] for line in lines[4 + len(calls.machine().named) + len(calls.machine().numbered):]) == with_input
    stream, whole = (language.parse(document(**{"a": f"on_close {mode}"}), "/d") for mode in ("no_update", "update"))
    assert [launching._may_stream(flow, step) for flow in (stream, whole) for step in ("writer", "reader", "other")] == [False, True, False] + 3 * [False]


def test_a_descriptor_of_a_file_whose_name_another_one_has_does_not_wait_for_that(streaming):
    path = streaming.dir / "lives.n"
    code = "import os; file = os.open(os.environ['F'], os.O_RDONLY); print(os.read(file, 6), flush=True); print(os.read(file, 6), flush=True)"
    wrote = streaming.start("writer", f"exec 3> {path}; echo first >&3; read; rm {path}; exec 4> {path}; echo another one >&4; read", via=None, stdin=True)
    read = streaming.launch("reader", ["env", f"F={path}", sys.executable, "-c", code], "seccomp")
    assert read.stdout.readline() == b"b'first\\n'\n"
    streaming.wait_waiting()
    wrote.stdin.write(b"\n")
    wrote.stdin.flush()
    assert ended(read)[:2] == (0, b"b''\n") and wrote.poll() is None
    wrote.stdin.write(b"\n")
    assert ended(wrote)[0] == 0
