"""What programs with the shim do without asking: making new files, which they post, and reading complete ones, which the table tells of."""

import os
import signal
import subprocess
import sys
import time

import pytest

from capio.served import Flow, document, ended, killed, needs_compiler
from wrp.capio import shim, wire
from wrp.capio.server import place, posts

pytestmark = needs_compiler
_MAKE = """import os, sys, time
def make(name, text="text"):
    with open(os.path.join(os.environ["CAPIO_DIR"], name), "w") as file:
        file.write(text)
def told(word=""):
    print(word, flush=True)
    sys.stdin.readline()
"""


def started(flow, step, code):
    """A program that stops at each told()."""
    return flow.start(step, [sys.executable, "-c", _MAKE + code], stdin=True)


def goes_on(process):
    process.stdin.write(b"\n")
    process.stdin.flush()


@pytest.fixture
def flow(make_flow):
    return make_flow(document(permanent=["kept*"], **{"f*": "on_close no_update", "kept*": "on_close update"}))


def test_new_files_are_made_while_the_server_stands_still(flow):
    wrote = started(flow, "writer", "make('f_a'); make('f_b'); told()\nfor n in range(200): make(f'f{n}', str(n))\ntold()")
    wrote.stdout.readline()
    flow.server.send_signal(signal.SIGSTOP)
    goes_on(wrote)
    wrote.stdout.readline()
    assert len(os.listdir(flow.dir)) == 202
    flow.server.send_signal(signal.SIGCONT)
    code, out, said = flow.run("reader", "cat " + " ".join(f"$CAPIO_DIR/f{n}" for n in range(200)))
    assert (code, out.decode(), said) == (0, "".join(map(str, range(200))), "")
    goes_on(wrote)
    assert ended(wrote)[0] == 0


def test_complete_files_are_read_while_the_server_stands_still(flow):
    assert flow.run("writer", "for n in $(seq 100); do echo $n > $CAPIO_DIR/f$n; done")[0] == 0
    flow.wait_for(lambda status: sum(file["is_committed"] for file in status["files"]) == 100)
    flow.server.send_signal(signal.SIGSTOP)
    code, out, _ = flow.run("reader", "for n in $(seq 100); do read a < $CAPIO_DIR/f$n; echo $a; done; stat -c %s $CAPIO_DIR/f100 && test -e $CAPIO_DIR/f1")
    flow.server.send_signal(signal.SIGCONT)
    assert code == 0 and sorted(map(int, out.split()[:-1])) == list(range(1, 101)) and out.split()[-1] == b"4"


def test_what_was_posted_to_a_server_that_is_killed_goes_with_the_next(tmp_path):
    flow = Flow(tmp_path, document(permanent=["kept*"], **{"f*": "on_close no_update", "kept*": "on_close update"}))
    try:
        wrote = started(flow, "writer", "make('f_a'); make('f_b'); told()\nfor n in range(9): make(f'f{n}'); make(f'kept{n}'); make(f'else{n}')\ntold()")
        wrote.stdout.readline()
        flow.server.send_signal(signal.SIGSTOP)
        goes_on(wrote)
        wrote.stdout.readline()
        flow.kill_server()
        killed(wrote)
        gone, _ = place.tidy_all()
        assert sorted(map(os.path.basename, gone)) == sorted(["f_a", "f_b", *(f"f{n}" for n in range(9))])
        assert len(os.listdir(flow.dir)) == 18
    finally:
        flow.end()


def test_a_process_that_is_killed_over_a_posted_file_has_not_completed_it(flow):
    wrote = started(flow, "writer", "for n in range(3): make(f'f{n}')\nfile = open(os.environ['CAPIO_DIR'] + '/f3', 'w', 1)\nfile.write('half\\n')\ntold()")
    wrote.stdout.readline()
    read = flow.start("reader", "cat $CAPIO_DIR/f3")
    flow.wait_waiting()
    wrote.kill()
    code, _, said = ended(read)
    assert code != 0 and "f3 has 5 bytes" in said and "SIGKILL" in said
    assert flow.run("reader", "cat $CAPIO_DIR/f2")[1] == b"text"


def test_a_name_that_is_made_again_is_another_file(flow):
    wrote = started(flow, "writer", """for n in range(12): make(f'f{n}', 'old')
for n in range(12):
    path = os.environ['CAPIO_DIR'] + f'/f{n}'
    os.unlink(path)
    file = open(path, 'w', 1)
    file.write('new\\n')
    told(path)
    file.write('whole\\n')
    file.close()
""")
    for _ in range(12):
        path = wrote.stdout.readline().decode().strip()
        read = flow.start("reader", f"cat {path}")
        time.sleep(0.01)
        goes_on(wrote)
        assert ended(read)[1] == b"new\nwhole\n"
    assert ended(wrote)[0] == 0


def test_a_name_that_is_made_again_before_the_server_looks_is_another_file(flow):
    wrote = started(flow, "writer", """make('f_a'); make('f_b'); told()
folder = os.environ['CAPIO_DIR']
for n in range(5):
    make(f'f{n}', 'old')
growing = []
for n in range(5):
    os.unlink(f'{folder}/f{n}')
    growing.append(open(f'{folder}/f{n}', 'w', 1))
    growing[-1].write('new\\n')
told()
for file in growing:
    file.write('whole\\n')
    file.close()
""")
    wrote.stdout.readline()
    flow.server.send_signal(signal.SIGSTOP)
    goes_on(wrote)
    wrote.stdout.readline()
    flow.server.send_signal(signal.SIGCONT)
    reads = [flow.start("reader", f"cat $CAPIO_DIR/f{n}") for n in range(5)]
    time.sleep(0.3)
    goes_on(wrote)
    assert [ended(read)[1] for read in reads] == [b"new\nwhole\n"] * 5
    assert ended(wrote)[0] == 0


def test_two_processes_that_make_the_same_names_have_closed_them_twice(make_flow):
    flow = make_flow(document(**{"f*": "on_close:2 update"}))
    flow.hold("writer")
    code = "make('fa'); make('fb'); make(f'fc{os.getpid()}'); told()\nfor n in range(300): open(os.environ['CAPIO_DIR'] + f'/f{n}', 'a').write('x')"
    both = [started(flow, "writer", code.replace("make('fa'); make('fb')", f"make('fa{who}'); make('fb{who}')")) for who in "12"]
    for wrote in both:
        wrote.stdout.readline()
    for wrote in both:
        goes_on(wrote)
    assert flow.run("reader", "cat " + " ".join(f"$CAPIO_DIR/f{n}" for n in range(300)))[:2] == (0, b"x" * 600)
    assert [ended(wrote)[0] for wrote in both] == [0, 0]
    assert all(file["closes"] == 2 for file in flow.status()["files"] if os.path.basename(file["path"])[1:].isdigit())


def test_of_a_process_that_posts_and_one_that_asks_only_who_has_opened_a_file_closes_it(make_flow):
    flow = make_flow(document(**{"f*": "on_close:3 update"}))
    flow.hold("writer")
    code = "make('f_a{}'); make('f_b{}'); make('f_c{}'); told()\nfor n in range(200): open(os.environ['CAPIO_DIR'] + f'/f{{n}}', 'a').write('x')"
    both = [flow.start("writer", [sys.executable, "-c", _MAKE + code.format(via, via, via)], via=via, stdin=True) for via in ("shim", "python")]
    for wrote in both:
        wrote.stdout.readline()
    for wrote in both:
        goes_on(wrote)
    assert [ended(wrote)[0] for wrote in both] == [0, 0]
    flow.wait_for(lambda status: sum(file["closes"] for file in status["files"] if os.path.basename(file["path"])[1:].isdigit()) >= 400)
    assert all(file["closes"] == 2 for file in flow.status()["files"] if os.path.basename(file["path"])[1:].isdigit())


_ASKING = """from wrp.capio import wire
from wrp.capio.client import Client
client, path, flags, why = Client('flow', 'writer'), os.environ['CAPIO_DIR'] + '/f', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0
client.ask(wire.Request(wire.WRITE, flags=flags, path=path))
told()
try:
    file = os.open(path, flags)
except OSError as error:
    why = error.errno
client.tell(wire.Request(wire.OPENED, a=why, path=path))
told()
if not why:
    os.close(file)
told()
"""


def test_an_open_that_was_announced_and_failed_closes_nothing(make_flow):
    flow = make_flow(document(**{"f": "on_close:2 update"}))
    flow.hold("writer")
    both = [flow.start("writer", [sys.executable, "-c", _MAKE + _ASKING], via=None, stdin=True) for _ in range(2)]
    for _ in range(3):
        for program in both:
            program.stdout.readline()
        for program in both:
            goes_on(program)
    assert [ended(program)[0] for program in both] == [0, 0]
    flow.wait_for(lambda status: status["files"][0]["closes"])
    assert flow.status()["files"][0]["closes"] == 1 and not flow.status()["files"][0]["writers"]


def test_a_process_that_has_lost_its_server_asks_the_next_one(tmp_path):
    workflow = document(**{"f*": "on_close no_update"})
    first = Flow(tmp_path, workflow)
    wrote = started(first, "writer", "for n in range(3): make(f'f{n}')\ntold()\nfor n in range(3, 6): make(f'f{n}')\ntold()")
    wrote.stdout.readline()
    first.kill_server()
    next_one = Flow(tmp_path, workflow)
    try:
        goes_on(wrote)
        wrote.stdout.readline()
        assert next_one.run("reader", "cat $CAPIO_DIR/f3 $CAPIO_DIR/f4 $CAPIO_DIR/f5")[:2] == (0, b"text" * 3)
    finally:
        killed(wrote)
        next_one.end()
        first.end()


def test_a_reader_that_has_lost_its_server_gets_to_the_end_of_what_the_next_one_serves(tmp_path):
    workflow = document(**{"f*": "on_close no_update"})
    first = Flow(tmp_path, workflow)
    code = """print(open(os.environ['CAPIO_DIR'] + '/f0').read(), flush=True)
sys.stdin.readline()
try:
    open(os.environ['CAPIO_DIR'] + '/none')
except OSError:
    pass
print('lost', flush=True)
print(open(os.environ['CAPIO_DIR'] + '/f1').read(), flush=True)
"""
    assert first.run("writer", "echo x > $CAPIO_DIR/f0")[0] == 0
    read = started(first, "reader", code)
    assert read.stdout.readline() == b"x\n"
    first.kill_server()
    next_one = Flow(tmp_path, workflow)
    try:
        wrote = started(next_one, "writer", "file = open(os.environ['CAPIO_DIR'] + '/f1', 'w', 1)\nfile.write('new\\n')\ntold()\nfile.write('whole\\n')")
        wrote.stdout.readline()
        goes_on(read)
        time.sleep(0.5)
        goes_on(wrote)
        assert ended(read)[1].split()[-2:] == [b"new", b"whole"]
    finally:
        killed(wrote)
        killed(read)
        next_one.end()
        first.end()


def test_more_processes_than_rings_and_names_too_long_for_them(flow):
    code = f"""for child in range({wire.RINGS + 4}):
    if not os.fork():
        for n in range(4): make(f'f_{{child}}_{{n}}', 'x')
        make('f_' + str(child) * 100, 'y')
        make('f_l_' + str(child) * 100, 'z')
        os.read(0, 1)
        os._exit(0)
told()
"""
    wrote = flow.start("writer", [sys.executable, "-c", _MAKE + code], stdin=True)
    wrote.stdout.readline()
    count = 6 * (wire.RINGS + 4)
    flow.wait_for(lambda status: sum(file["is_committed"] for file in status["files"]) == count)
    assert len(flow.run("reader", "cat $CAPIO_DIR/f_*")[1]) == count
    killed(wrote)


class _Table:
    """Room for rings, without a file."""

    def __init__(self):
        self.bytes = memoryview(bytearray(wire.TABLE_NBYTES))

    def reserve(self, offset, nbytes):
        return self.bytes.cast("Q")


def test_rings_are_given_once_and_read_in_their_order():
    table = _Table()
    rings = posts.Rings(table, "/d")
    assert [rings.give(pid) for pid in (7, 8, 7)] == [0, 1, 0]
    at, longs, first = wire.RINGS_AT + wire.RING_NBYTES, table.bytes.cast("Q"), None
    for turn in range(2 * wire.POSTS):
        name = f"n{turn}".encode()
        wire.POST.pack_into(table.bytes, at + wire.RING_HEAD + turn % wire.POSTS * wire.POST_NBYTES, turn << 2 | turn % 3, len(name), name)
        longs[at // 8] = turn + 1
        (post,) = rings.take()
        assert post[:2] == (8, f"/d/n{turn}") and rings.outcome(post[2]) == turn % 3
        first = first or post[2]
    assert rings.outcome(first) == wire.MADE        # its room is another's by now
    rings.done()
    assert longs[at // 8 + 1] == 2 * wire.POSTS and rings.take() == []
    assert [rings.give(pid) for pid in range(100, 140)] == [*range(2, wire.RINGS), *[-1] * (42 - wire.RINGS)]
    rings.release(8)
    assert rings.give(9) == 1 and rings.take() == []


def test_a_child_that_gets_the_ring_of_its_parent_which_has_ended_is_seen(flow):
    wrote = started(flow, "writer", """for n in range(4): make(f'f_{n}')
end, told_of = os.pipe()
if os.fork():
    os._exit(0)
os.close(told_of)
os.read(end, 1)                     # the parent has ended
time.sleep(0.5)
for n in range(4): make(f'f{n}')
file = open(os.environ["CAPIO_DIR"] + "/f_open", "w")
told()
file.close()
told()
""")
    wrote.stdout.readline()

    def found(status):
        return next((file for file in status["files"] if file["path"].endswith("/f_open")), {"writers": 0})

    flow.wait_for(lambda status: found(status)["writers"] == 1)
    assert not found(flow.status())["is_committed"]
    goes_on(wrote)
    wrote.stdout.readline()
    flow.wait_for(lambda status: found(status)["is_committed"])
    goes_on(wrote)
    assert ended(wrote)[0] == 0


_FORKS = """#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int is_child, fell;
static void fork_here(int number)
{
    int status;
    pid_t pid = fork();
    if (!pid) { is_child = 1; return; }
    if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status)) fell = WTERMSIG(status);
}
int main(void)
{
    char name[4096];
    struct sigaction does = { .sa_handler = fork_here, .sa_flags = SA_RESTART };
    int folder = open(getenv("CAPIO_DIR"), O_RDONLY);
    sigaction(SIGIO, &does, NULL);
    for (int n = 0; n < 20; n++) {
        snprintf(name, sizeof name, "%s/f%d", getenv("CAPIO_DIR"), n);
        if (n > 9 && fcntl(folder, F_NOTIFY, DN_CREATE)) return 77;     /* a signal when the file is made, before it is said that it is */
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (is_child) _exit(0);
        if (fd < 0) return perror(name), 1;
        close(fd);
    }
    return fell;
}
"""


def test_a_child_that_a_signal_handler_forks_while_a_file_is_made_does_not_fall(flow):
    (flow.folder / "forks.c").write_text(_FORKS)
    subprocess.run([shim.compiler(), "-O2", "-o", flow.folder / "forks", flow.folder / "forks.c"], check=True)
    code, _, said = flow.run("writer", [flow.folder / "forks"])
    if code == 77:
        pytest.skip("the kernel gives no signal when a file is made")
    assert (code, said) == (0, "")
