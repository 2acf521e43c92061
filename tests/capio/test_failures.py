"""What becomes of readers, and of files, when a program or the server dies."""

import os
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from capio.served import Flow, document, ended, killed, needs_compiler
from wrp.capio import wire
from wrp.capio.client import Client
from wrp.capio.server import endings, place
from wrp.errors import WrpError

pytestmark = needs_compiler
_READERS = {"update": "cat $CAPIO_DIR/a", "no_update": "cat $CAPIO_DIR/a", "stdio": "sed '' $CAPIO_DIR/a", "python": f"{sys.executable} -c 'import os; "
            "print(open(os.environ[\"CAPIO_DIR\"] + \"/a\").read())'"}


@pytest.mark.parametrize("reader", _READERS)
@pytest.mark.parametrize("commit", ["on_close", "on_termination"])
def test_a_killed_producer_is_an_error_with_a_name(make_flow, reader, commit):
    mode = "update" if reader == "update" else "no_update"
    flow = make_flow(document(**{"a": f"{commit} {mode}"}))
    wrote = flow.start("writer", "exec " + f"{sys.executable} -c 'import os, time\nf = open(os.environ[\"CAPIO_DIR\"] + \"/a\", \"w\")\n"
                       "print(\"some\", file=f, flush=True)\nprint(1, flush=True)\ntime.sleep(60)'")
    wrote.stdout.readline()
    read = flow.start("reader", _READERS[reader])
    flow.wait_waiting()
    wrote.kill()
    code, _, said = ended(read)
    assert code != 0
    assert f"capio: {flow.dir}/a has 5 bytes" in said and "writer" in said and "SIGKILL" in said


def test_by_option_it_is_an_end_of_file(make_flow):
    flow = make_flow(document(**{"a": "on_close no_update"}), "--on-failure", "eof")
    wrote = flow.start("writer", [sys.executable, "-c", "import os, time\nf = open(os.environ['CAPIO_DIR'] + '/a', 'w')\nprint('some', file=f, flush=True)\ntime.sleep(60)"])
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    assert read.stdout.readline() == b"some\n"
    wrote.kill()
    assert ended(read)[0] == 0


def test_a_producer_that_ends_without_writing(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    flow.wait_waiting()
    flow.run("writer", "exit 3")
    code, _, said = ended(read)
    assert code == 1 and "writer" in said and "Input/output error" in said


@pytest.mark.parametrize("command", ["exit 3", "kill -9 $$", "true"])
def test_a_producer_that_is_gone_before_the_server_has_heard_of_it(make_flow, command):
    flow = make_flow(document(**{"a": "on_close update"}))
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    flow.wait_waiting()
    flow.server.send_signal(signal.SIGSTOP)
    flow.run("writer", command)
    flow.server.send_signal(signal.SIGCONT)
    code, _, said = ended(read)
    assert code == 1 and "'writer'" in said, said


def test_how_a_process_ended_that_nobody_can_tell_of():
    ended_before = subprocess.Popen(["true"])
    ended_before.wait()
    assert endings.descriptor(ended_before.pid) is None
    with socket.socket() as peer:           # no socket of this machine's own: the kernel knows no process at its end
        ready = endings.descriptor(ended_before.pid, peer)
    try:
        poll = select.epoll()
        poll.register(ready)
        assert [fd for fd, _ in poll.poll(5)] == [ready] and endings.how(ended_before.pid, ready) == (None, None)
        poll.close()
    finally:
        os.close(ready)


@pytest.mark.parametrize("command", ["cat $CAPIO_DIR/a", "cat $CAPIO_DIR/n"])
def test_a_killed_server_ends_the_waits(make_flow, command):
    flow = make_flow(document(**{"a": "on_close update", "n": "on_close no_update"}))
    flow.hold("writer")
    wrote = flow.start("writer", "{ echo some; sleep 60; } > $CAPIO_DIR/n")
    read = flow.start("reader", command, CAPIO_SERVER_WAIT_S="600")       # for a next server, which isn't waited for
    flow.wait_waiting()
    flow.kill_server()
    code, _, said = ended(read)
    assert code == 1 and "the CAPIO server has ended" in said
    killed(wrote)


def test_what_isnt_permanent_goes_at_the_end(make_flow):
    flow = make_flow(document(permanent=["keep*"], **{"a": "on_close update", "keep": "on_close update", "d/*": "on_close update"}))
    flow.run("writer", "cd $CAPIO_DIR; echo 1 > a; echo 2 > keep; echo 3 > mine; mkdir d; echo 4 > d/x")
    assert sorted(os.listdir(flow.dir)) == ["a", "d", "keep", "mine"]
    assert flow.end() == 0
    assert "a" not in os.listdir(flow.dir) and (flow.dir / "keep").read_text() == "2\n" and (flow.dir / "mine").exists()
    assert not (flow.dir / "d" / "x").exists()


def test_a_file_that_was_there_before_stays(make_flow, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("input")
    flow = make_flow(document(**{"a": "on_close update", "b": "on_close update"}))
    flow.run("writer", "echo 1 >> $CAPIO_DIR/a; echo 1 > $CAPIO_DIR/b")
    flow.end()
    assert os.listdir(flow.dir) == ["a"]


def test_a_killed_server_leaves_work_to_the_next(tmp_path):
    flow = Flow(tmp_path, document(permanent=["keep"], **{"a": "on_close update", "keep": "on_close update"}))
    flow.run("writer", "echo 1 > $CAPIO_DIR/a; echo 2 > $CAPIO_DIR/keep; cp $CAPIO_DIR/a $CAPIO_DIR/b")
    flow.kill_server()
    flow.client.close()
    assert (flow.dir / "a").exists()
    next_one = Flow(tmp_path, document(permanent=["keep"], **{"a": "on_close update"}))
    try:
        assert sorted(os.listdir(flow.dir)) == ["b", "keep"]
        assert "removed" in next_one.log()
    finally:
        next_one.end()
        flow._log.close()


def test_a_second_server_is_refused(make_flow, tmp_path):
    flow = make_flow(document(**{"a": "on_close update"}))
    done = subprocess.run([sys.executable, "-m", "wrp.capio.commands.serve", "-c", str(tmp_path / "workflow.json"), "--dir", str(flow.dir)],
                          capture_output=True, text=True)
    assert done.returncode == place.BUSY and "runs already" in done.stderr


def test_without_a_server_the_sentence_says_so(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    code, _, said = flow.run("reader", "cat $CAPIO_DIR/a", CAPIO_WORKFLOW_NAME="other", CAPIO_SERVER_WAIT_S="0.1")
    assert code == 1 and "no CAPIO server serves the workflow 'other'" in said


def test_a_forgotten_directory_is_a_sentence(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    env = flow.environment("reader")
    del env["CAPIO_DIR"]
    done = subprocess.run(["true"], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "CAPIO_DIR isn't set" in done.stderr


@pytest.mark.parametrize("packet", [b"?", b"x" * 40, wire.Request(99, path="/x").pack(), wire.Request(wire.CONTROL, path="no JSON").pack(),
                                    wire.Request(wire.CONTROL, path="7").pack(), wire.Request(wire.READ, path="/x").pack()[:-1]])
def test_the_server_survives_what_it_doesnt_understand(make_flow, packet):
    flow = make_flow(document(**{"a": "on_close update"}))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        other.settimeout(5)
        other.connect(str(place.socket_path("flow")))
        other.send(packet)
        assert other.recv(100) == b""           # it hangs up
    with pytest.raises(WrpError, match="doesn't know 'dance'"):
        flow.client.control("dance")
    assert flow.status()["waiting"] == []


def test_an_open_that_its_process_was_killed_before_counts_for_nothing(make_flow):
    flow = make_flow(document(**{"a": "on_close:2 update"}))
    flow.hold("writer")
    code = ("import os\nfrom wrp.capio import wire\nfrom wrp.capio.client import Client\n"
            "Client('flow', 'writer').ask(wire.Request(wire.WRITE, flags=os.O_CREAT | os.O_WRONLY, path=os.environ['CAPIO_DIR'] + '/a'))\nos.kill(os.getpid(), 9)")
    assert flow.run("writer", [sys.executable, "-c", code], via=None)[0] == -9
    assert flow.run("writer", "echo > $CAPIO_DIR/a")[0] == 0
    flow.wait_for(lambda status: status["files"] and status["files"][0]["closes"] >= 1)
    time.sleep(0.1)
    (file,) = flow.status()["files"]
    assert file["closes"] == 1 and not file["is_committed"] and not file["writers"]


@needs_compiler
def test_an_open_that_its_process_was_killed_before_counts_for_nothing_though_nobody_tells_of_it(make_flow):
    flow = make_flow(document(**{"a": "on_close:9 update"}))
    flow.hold("writer")
    (flow.dir / "a").touch()
    flow.wait_for(lambda status: status["files"] and status["files"][0]["closes"] == 1)
    held = flow.start("writer", "exec sleep 60", via=None)
    with Client(flow.name, "writer", behalf=held.pid) as supervisor:         # as that of a process whose calls the kernel holds
        supervisor.ask(wire.Request(wire.WRITE, flags=os.O_TRUNC | os.O_WRONLY, path=str(flow.dir / "a")))
        killed(held)
        assert flow.run("writer", "echo > $CAPIO_DIR/a")[0] == 0
        flow.wait_for(lambda status: status["files"] and status["files"][0]["closes"] >= 2)
        time.sleep(0.1)
        (file,) = flow.status()["files"]
        assert file["closes"] == 2 and not file["writers"]
