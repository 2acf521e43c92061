"""capio run, status, stop, shim, doctor and capio_server as a user types them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from capio.served import LIMIT_S, document, needs_compiler
from harness.bound import bound
from wrp.capio.commands import doctor, settings, steps
from wrp.capio.server import place
from wrp.errors import JobFileError

pytestmark = needs_compiler


@pytest.fixture
def here(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "wf.json").write_text(json.dumps(document(permanent=["out"], **{"a": "on_close no_update", "b": "on_termination update", "out": "on_close update"})))
    yield tmp_path
    for about in place.running():
        os.kill(about["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 10
    while place.running() and time.monotonic() < deadline:
        time.sleep(0.02)


def capio(here, *arguments, module="cli", **env):
    return subprocess.run([sys.executable, "-m", f"wrp.capio.commands.{module}", *map(str, arguments)], cwd=here, capture_output=True, text=True, timeout=40,
                          env=os.environ | env, stdin=subprocess.DEVNULL)


def all_of(here, text, *options):
    (here / "steps.yaml").write_text(text)
    return capio(here, "run", "-c", "wf.json", "--dir", "data", "--all", "steps.yaml", *options)


_COPY = "import os\nopen('asks', 'w').close()\nlines = open(os.environ['CAPIO_DIR'] + '/a').read() + open(os.environ['CAPIO_DIR'] + '/b').read()\nprint(lines, end='', file=open(os.environ['CAPIO_DIR'] + '/out', 'w'))"


@pytest.mark.parametrize("via, command", [("shim", ["bash", "-c", "touch asks; cat $CAPIO_DIR/a $CAPIO_DIR/b > $CAPIO_DIR/out"]), ("python", [sys.executable, "-c", _COPY]),
                                          ("seccomp", ["bash", "-c", "touch asks; cat $CAPIO_DIR/a $CAPIO_DIR/b > $CAPIO_DIR/out"])])
def test_a_whole_workflow_and_its_report(here, via, command):
    if via == "seccomp" and doctor._tried(doctor._seccomp):
        pytest.skip("the kernel doesn't let calls be held here")
    writer = "until [ -e asks ]; do sleep 0.05; done; for i in 1 2 3; do sleep 0.5; echo $i; done > $CAPIO_DIR/a; echo b > $CAPIO_DIR/b"
    done = all_of(here, json.dumps({"writer": writer, "reader": command}), "--json", "--via", via)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    ran = {step["step"]: step for step in report["steps"]}
    assert set(ran) == {"writer", "reader"} and all(step["exit_code"] == 0 for step in ran.values())
    assert 0.3 < ran["reader"]["waited_s"] <= ran["reader"]["ran_s"] and ran["reader"]["overlapped_s"] > 0.3
    assert report["makespan_s"] < report["sum_of_steps_s"]
    assert {os.path.basename(file["path"]): file["bytes"] for file in report["committed"]}.items() >= {"a": 6, "b": 2}.items()
    assert next(use for use in report["reads"] if use["path"].endswith("/a"))["bytes_streamed"] == 6
    assert os.listdir(here / "data") == ["out"] and (here / "data" / "out").read_text() == "1\n2\n3\nb\n"


def test_the_report_for_people_and_the_code_of_the_first_that_failed(here):
    done = all_of(here, "writer: 'echo 1 > $CAPIO_DIR/a; exit 3'\nreader: 'cat $CAPIO_DIR/a; sleep 0.3; exit 4'\n")
    assert done.returncode == 3 and done.stdout == "1\n"
    assert "exit 3" in done.stderr and "exit 4" in done.stderr and "makespan" in done.stderr


def test_copies_of_a_step(here):
    done = all_of(here, "writer: {command: 'echo $WHO >> $CAPIO_DIR/b', copies: 3, env: {WHO: me}}\nreader: 'cat $CAPIO_DIR/b'\n")
    assert (done.returncode, done.stdout) == (0, "me\n" * 3), done.stderr


def test_single_steps_share_a_server_that_ends_after_the_last(here):
    read = subprocess.Popen([sys.executable, "-m", "wrp.capio.commands.cli", "run", "-c", "wf.json", "--dir", "data", "reader", "--", "cat", str(here / "data" / "a")],
                            cwd=here, stdout=subprocess.PIPE)
    wrote = capio(here, "run", "-c", "wf.json", "--dir", "data", "writer", "--", "bash", "-c", "echo hello > $CAPIO_DIR/a; exit 5")
    assert wrote.returncode == 5, wrote.stderr
    assert read.communicate(timeout=20)[0] == b"hello\n" and read.returncode == 0
    deadline = time.monotonic() + 10
    while place.running():
        assert time.monotonic() < deadline, capio(here, "status", "--json").stdout
        time.sleep(0.05)
    assert os.listdir(here / "data") == []


def test_a_killed_run_leaves_no_server(here):
    (here / "steps.yaml").write_text("writer: 'touch began; sleep 30'\n")
    run = subprocess.Popen([sys.executable, "-m", "wrp.capio.commands.cli", "run", "-c", "wf.json", "--dir", "data", "--all", "steps.yaml"], cwd=here,
                           start_new_session=True)
    deadline = time.monotonic() + 20
    while not (here / "began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    while place.running():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_workflow_without_steps_runs_programs_too(here):
    (here / "free.json").write_text('{"name": "free", "IO_Graph": []}')
    done = capio(here, "run", "-c", "free.json", "--dir", "data", "any", "--", "bash", "-c", "echo 1 > $CAPIO_DIR/a; cat $CAPIO_DIR/a")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_status_and_stop(here):
    assert "no CAPIO server" in capio(here, "status").stdout and capio(here, "stop").returncode != 0
    server = subprocess.Popen(bound([sys.executable, "-m", "wrp.capio.commands.serve", "-c", "wf.json", "--dir", "data"]), cwd=here, stderr=subprocess.DEVNULL)
    while not place.running():
        time.sleep(0.02)
    env = {"CAPIO_DIR": str(here / "data"), "CAPIO_WORKFLOW_NAME": "flow", "CAPIO_APP_NAME": "reader", "LD_PRELOAD": capio(here, "shim").stdout.strip()}
    read = subprocess.Popen(["cat", str(here / "data" / "a")], env=os.environ | env, stderr=subprocess.PIPE)
    while "waits in opening" not in (said := capio(here, "status").stdout):
        time.sleep(0.05)
    assert "step 'reader'" in said and "data/a" in said and "'writer' has not started" in said
    assert json.loads(capio(here, "status", "--json").stdout)[0]["waiting"][0]["step"] == "reader"
    drawn = capio(here, "status", "--dot").stdout
    assert drawn.startswith('digraph "flow" {') and drawn.count("[shape=box") == 2 and drawn.count("color=red") == 1 and "a\\nexpected, 0 B" in drawn
    assert capio(here, "stop").returncode == 0
    assert b"the workflow has ended" in read.communicate(timeout=10)[1] and read.returncode == 1
    assert server.wait(10) == 0


def test_doctor(here):
    found = json.loads(capio(here, "doctor", "--json").stdout)
    assert set(found["ways"]) == {"shim", "python", "seccomp"} and found["ways"]["shim"] == "" and not any(found["server"].values())
    assert "no C compiler" in capio(here, "doctor", PATH="/nowhere", CC="", WRP_CACHE_DIR=str(here / "cache")).stdout


@pytest.mark.parametrize("arguments, sentence", [
    (["run", "-c", "wf.json", "writer", "--", "true"], "CAPIO_DIR isn't set"),
    (["run", "-c", "wf.json", "--dir", "nowhere", "writer", "--", "true"], "nowhere isn't a directory"),
    (["run", "-c", "wf.json", "--dir", "/", "writer", "--", "true"], "can't be the directory of a workflow"),
    (["run", "-c", "wf.json", "--dir", "data", "writter", "--", "true"], "did you mean 'writer'"),
    (["run", "-c", "wf.json", "--dir", "data", "writer"], "give the step's name, --, and its program"),
    (["run", "-c", "wf.json", "--dir", "data", "--all", "missing.yaml"], "missing.yaml: No such file"),
    (["run", "-c", "missing.json", "--dir", "data", "writer", "--", "true"], "missing.json"),
])
def test_refusals(here, arguments, sentence):
    env = {name: value for name, value in os.environ.items() if name != "CAPIO_DIR"}
    done = subprocess.run([sys.executable, "-m", "wrp.capio.commands.cli", *arguments], cwd=here, capture_output=True, text=True, env=env, timeout=30)
    assert done.returncode not in (0, 1) and sentence in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("options, sentence", [
    (["-c", "wf.json", "-b", "mtcl"], "there are none and mpi"), (["-c", "dynamic"], "aren't taken"), ([], "required"),
    (["-c", "wf.json", "--no-config"], "not allowed")])
def test_what_the_server_refuses(here, options, sentence):
    done = capio(here, *options, module="serve", CAPIO_DIR="data")
    assert done.returncode == 2 and sentence in done.stderr


def test_what_has_no_meaning_is_said(here):
    done = subprocess.Popen(bound([sys.executable, "-m", "wrp.capio.commands.serve", "--no-config", "--dir", "data", "-d", "logs"]), cwd=here, text=True,
                            stderr=subprocess.PIPE, env=os.environ | {name: "1" for name in settings.WITHOUT_MEANING})
    while not place.running():
        time.sleep(0.02)
    done.send_signal(signal.SIGTERM)
    said = done.communicate(timeout=10)[1]
    assert done.returncode == 0 and all(said.count(f"{name} has") == 1 for name in (*settings.WITHOUT_MEANING, "--log-dir") if name != "CONFIG_PATH")


@pytest.mark.parametrize("text, sentence", [
    ("[", "isn't YAML"), ("- a", "a mapping of steps"), ("a: {}", "a.*must be a text"), ("a: {command: x, copy: 2}", "a.copy: no such key"),
    ("a: {command: x, copies: 0}", "a.copies"), ("a: {command: x, env: 3}", "a.env"), ("a: ''", "must be a text"), ("a: [[1]]", "must be a text")])
def test_wrong_files_of_steps(tmp_path, text, sentence):
    (tmp_path / "steps.yaml").write_text(text)
    with pytest.raises(JobFileError, match=sentence):
        steps.load(tmp_path / "steps.yaml")


def test_a_server_of_one_node_loads_nothing_for_several():
    code = "import sys, wrp.capio.commands.serve; sys.exit(' '.join({'numpy', 'xxhash', 'mpi4py', 'numba'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_help_says_whose_options_hold(here):
    assert "a server that runs already keeps its own" in " ".join(capio(here, "run", "--help").stdout.split())


def test_a_server_does_not_end_while_a_launcher_is_there(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}), "--linger", "600")
    for step in ("writer", "reader"):
        assert flow.run(step, "true")[0] == 0
    flow.wait_for(lambda _: sum(not step["running"] for step in flow.client.control("report")["steps"]) == 2)
    flow.client.control("start", step="reader")         # as one that had met it before the last step ended
    flow.client.control("stop", code=0, signal=None)
    flow.client.close()
    assert flow.server.wait(LIMIT_S) == 0
