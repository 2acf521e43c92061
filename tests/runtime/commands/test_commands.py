"""What `wrp-runtime` and `chimaera` print, as text and as JSON, and what they refuse."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading

import pytest

from harness.mpirun import job_environment
from wrp.comm.segment import Segment
from wrp.runtime import bdev
from wrp.runtime.commands import chimaera, cli
from wrp.runtime.daemon import attach, leftovers

NAME = "commanded"


def test_status(answer, running):
    code, text, _ = answer("status")
    assert code == 0 and text.startswith(f"{NAME}: ready, process {running.pid}, since ") and "pools: admin, ram::composed" in text
    with attach(NAME, 10):
        code, text, _ = answer("status", "--json")
        found = json.loads(text)
    assert found["attached"] == [os.getpid()]
    assert (code, found["state"], found["pids"], found["ranks"]) == (0, "ready", [running.pid], 1)
    assert found["heartbeat"] > 0 and found["pools"] == ["admin", "ram::composed"]


def test_monitor(answer, running):
    code, text, _ = answer("monitor", "-o")
    assert code == 0 and "tasks/s" in text and "ram::composed  " in text and "32 MiB" in text
    code, text, _ = answer("monitor", "-o", "-j")
    found = json.loads(text)
    assert code == 0 and [worker["kind"] for worker in found["workers"]] == ["jitted", "python"]
    assert {worker["pid"] for worker in found["workers"]} == {running.pid}
    assert all(pool["containers"] == 1 and pool["lanes"] == [pool["lane"]] for pool in found["pools"])
    composed = next(pool for pool in found["pools"] if pool["name"] == "ram::composed")
    assert (composed["module"], composed["kind"], composed["capacity"], composed["free"]) == ("bdev", "ram", 32 << 20, 32 << 20)


def test_monitor_counts_tasks_between_two_looks(running):
    with subprocess.Popen([sys.executable, "-m", "wrp.runtime.commands.chimaera", "monitor", "-i", "0.2", "--name", NAME],
                          env=job_environment(), text=True, stdout=subprocess.PIPE) as looking:
        rows = []
        while len(rows) < 2:
            line = looking.stdout.readline()
            assert line and "\x1b" not in line          # no terminal: plain lines
            if line.startswith("0     "):
                rows.append(line.split())
        looking.terminate()
    assert rows[0][6] == "-" and rows[1][6].isdigit()


def test_monitor_shows_latencies_of_each_method(answer):
    with attach(NAME, 10) as attached:
        pool = attached.pool("ram::composed")
        number = "%d.%d" % pool.id
        for _ in range(30):
            pool.call(bdev.GET_STATS)
    code, text, _ = answer("monitor", "-o", "-j")
    mine = next(each for each in json.loads(text)["methods"] if (each["pool"], each["method"]) == (number, bdev.GET_STATS))
    assert code == 0 and mine["count"] == sum(mine["histogram"]) >= 30
    assert 0 < mine["p50_ns"] <= mine["p99_ns"] <= mine["p999_ns"] <= mine["max_ns"] and mine["mean_ns"] <= mine["max_ns"]
    assert f"{number} method {bdev.GET_STATS}  " in answer("monitor", "-o")[1]


def test_monitor_writes_a_trace(answer, tmp_path, capsys):
    path, is_over = tmp_path / "trace.json", threading.Event()

    def keep_busy():
        with attach(NAME, 10) as attached:
            pool = attached.pool("ram::composed")
            while not is_over.is_set():
                pool.call(bdev.GET_STATS)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        code, text, _ = answer("monitor", "-i", "0.5", "--trace", str(path), "--json")
    finally:
        is_over.set()
        busy.join()
    steps = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
    assert code == 0 and json.loads(text) == {"trace": str(path), "steps": len(steps)}
    assert steps and all(event["name"].endswith(f"method {bdev.GET_STATS}") for event in steps)
    assert cli.main(["monitor", "--name", NAME, "-i", "0.01", "--trace", str(tmp_path / "no" / "t.json")]) == 2
    assert "can't be written" in capsys.readouterr().err


def test_compose_makes_what_isnt_there(answer, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("compose: [{mod_name: bdev, pool_name: 'ram::more', capacity: 4m}, {mod_name: admin, pool_name: admin}]")
    code, text, _ = answer("compose", str(path))
    assert code == 0 and text.splitlines()[0].startswith("ram::more (bdev, ") and "made" in text and "admin (admin, 1.0): was there" in text
    code, text, _ = answer("compose", str(path), "--json")
    assert code == 0 and [row["made"] for row in json.loads(text)] == [False, False]


def test_refusals(running, capsys, tmp_path):
    wrong = tmp_path / "w.yaml"
    wrong.write_text("runtime:\n  queue_dept: 5\n")
    empty = tmp_path / "e.yaml"
    empty.write_text("runtime: {queue_depth: 64}\n")
    for arguments, code, sentence in (
            (["status", "--name", "nobody"], 7, "no daemon 'nobody' runs on this node"),
            (["stop", "--name", "nobody"], 7, "wrp-runtime start --name nobody"),
            (["status", "--name", "a/b"], 2, "can't name a segment"),
            (["frobnicate"], 2, "wrp-runtime --help"),
            (["monitor", "--name", NAME, "-i", "0"], 2, "--interval: '0' is not a number of seconds above 0"),
            (["conf", "check", str(wrong)], 3, f"{wrong}:2: unknown key 'runtime.queue_dept'"),
            (["compose", str(empty), "--name", NAME], 2, "asks for no pools"),
            (["start", "--conf", str(tmp_path / "no.yaml")], 3, "isn't there"),
            (["module", "new", "Two Words"], 2, "can't name a module")):
        assert cli.main(arguments) == code, arguments
        assert sentence in capsys.readouterr().err


def test_stop_as_json(start_daemon, capsys):
    ending = start_daemon("ending")
    assert cli.main(["stop", "--name", "ending", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": "ending", "pid": ending.pid}
    assert ending.wait() == 0
    assert cli.main(["stop", "--name", "ending", "--json"]) == 7
    said = capsys.readouterr()
    assert said.out == "" and "no daemon 'ending' runs" in said.err


def test_every_command_but_start_answers_in_json():
    def leaves(parser, words=()):
        inner = next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)
        return [(words, parser)] if inner is None else [leaf for name, sub in inner.choices.items() for leaf in leaves(sub, (*words, name))]

    found = {" ".join(words): "--json" in parser._option_string_actions for words, parser in leaves(cli._parser())}
    assert found == {"start": False, "restart": False, "stop": True, "compose": True, "migrate": True, "status": True, "monitor": True, "doctor": True,
                     "conf check": True, "conf show": True, "module new": True, **{f"member {what}": True for what in ("list", "recover", "add", "remove", "check")}}


def test_the_configuration_is_looked_for_in_order(capsys, tmp_path, monkeypatch):
    """CHI_SERVER_CONF, CLIO_SERVER_CONF, WRP_RUNTIME_CONF, home, defaults; each as soon as those before it are gone."""
    (tmp_path / ".chimaera").mkdir()
    depths = {"CHI_SERVER_CONF": 64, "CLIO_SERVER_CONF": 96, "WRP_RUNTIME_CONF": 128, "HOME": 256}
    for variable, depth in depths.items():
        path = tmp_path / (".chimaera/chimaera.yaml" if variable == "HOME" else f"{variable}.yaml")
        path.write_text(f"runtime:\n  queue_depth: {depth}\n")
        monkeypatch.setenv(variable, str(tmp_path if variable == "HOME" else path))
    for variable, depth in (*depths.items(), (None, 1024)):
        assert cli.main(["conf", "show", "--origin", "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)["runtime.queue_depth"]
        assert shown["value"] == depth and (shown["origin"] == "default") == (variable is None), shown
        if variable == "HOME":
            monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
        elif variable:
            monkeypatch.setenv(variable, "")


def test_conf(capsys, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("runtime:\n  queue_depth: 64\n")
    assert cli.main(["conf", "check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: correct, 1 key set\n"
    assert cli.main(["conf", "check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(path), "keys_set": ["runtime.queue_depth"]}
    assert cli.main(["conf", "show", "--origin", "--conf", str(path)]) == 0
    assert re.search(rf"^runtime.queue_depth +64 +{path}:2$", capsys.readouterr().out, re.M)
    assert cli.main(["conf", "show", "--origin", "--json", "--conf", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["runtime.queue_depth"] == {"value": 64, "origin": f"{path}:2"}
    assert cli.main(["conf", "show", "--json", "--conf", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["runtime.queue_depth"] == 64


def test_doctor_finds_and_removes_what_the_dead_left(running, capsys):
    code = "import os; from wrp.comm.segment import Segment; Segment.named('forgotten', 1 << 20, create=True); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], env=job_environment(), check=True, timeout=40)
    assert cli.main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("WRONG leftover: forgotten: ") and "doctor --clean" in line for line in lines)
    assert any(line == f"ok    segment: {NAME}: in use by process {running.pid}" for line in lines)
    for topic in ("MPI", "launcher", "shared memory", "open files", "compiled kernels"):
        assert any(f" {topic}: " in line for line in lines)
    cli.main(["doctor", "--clean", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [entry["text"] for entry in found if entry["topic"] == "leftover" and "forgotten: removed" in entry["text"]]
    assert "forgotten" not in [left.name for left in leftovers.find()]
    assert NAME in [left.name for left in leftovers.find()]


def test_doctor_removes_folders_of_the_dead(capsys, tmp_path, monkeypatch):
    code = "import os; from wrp.comm.passing import PassingFolder; open(PassingFolder('killed').path + '/file', 'w').write('x' * 5000); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], env=job_environment({"TMPDIR": str(tmp_path)}), timeout=40).returncode == -9
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cli.main(["doctor"])
    assert f"WRONG leftover: {tmp_path}/wrp-{os.getuid()}.killed: " in capsys.readouterr().out
    cli.main(["doctor", "--clean"])
    assert f"wrp-{os.getuid()}.killed: removed, " in capsys.readouterr().out and list(tmp_path.iterdir()) == []


def test_doctor_removes_what_a_daemon_killed_at_its_start_has_left(capsys):
    code = ("import os; from wrp.comm import mapping, names\n"
            "mapping.create(names.path('early'), 1 << 20, lambda _: os.kill(os.getpid(), 9))")
    killed = subprocess.run([sys.executable, "-c", code], env=job_environment(), timeout=40)
    assert killed.returncode == -9
    cli.main(["doctor", "--json"])
    left = [entry for entry in json.loads(capsys.readouterr().out) if entry["text"].startswith("early.")]
    assert [(entry["topic"], entry["ok"]) for entry in left] == [("leftover", False)]
    cli.main(["doctor", "--clean"])
    assert ".new: removed, " in capsys.readouterr().out and not [found for found in leftovers.find() if found.name.startswith("early")]


def test_what_somebody_holds_isnt_removed():
    with Segment.named("held", 1 << 20, create=True):
        left = next(left for left in leftovers.find() if left.name == "held")
        assert left.pid != 0 and not leftovers.remove(left)
        Segment.named("held").close()


def test_new_module_passes_its_own_test(tmp_path, capsys):
    assert cli.main(["module", "new", "word_counter", "--folder", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == [str(tmp_path / "word_counter.py"), str(tmp_path / "test_word_counter.py")]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)], cwd=tmp_path, env=job_environment(),
                          capture_output=True, text=True, timeout=50)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    assert cli.main(["module", "new", "word_counter", "--folder", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_chimaera_answers_the_same(running, capsys, start_daemon):
    assert chimaera.main(["monitor", "-o", "-j", "--name", NAME]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == NAME
    assert chimaera.main(["runtime", "frobnicate"]) == 2
    assert "runtime start|stop|restart" in capsys.readouterr().err
    ending = start_daemon("chimaera")
    assert chimaera.main(["runtime", "stop", "--name", "chimaera"]) == 0
    assert capsys.readouterr().out == f"stopped chimaera (process {ending.pid})\n"
    assert ending.wait() == 0 and "stopping (wrp-runtime stop)" in "\n".join(ending.lines)


@pytest.mark.parametrize("program, command", [("cli", "restart"), ("chimaera", "runtime restart")])
def test_restart_takes_the_place_of_the_one_that_runs(start_daemon, program, command):
    first = start_daemon("again")
    second = start_daemon("again", program=program, command=command, until_not=first.pid)
    assert first.wait() == 0 and second.pid != first.pid
    with attach("again", 10) as attached:
        assert attached.about.pid == second.pid
    assert second.end() == 0
