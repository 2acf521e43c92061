"""Commands whose output, folder or configuration isn't what it should be: one sentence, and nothing half done."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from harness.mpirun import job_environment, mpirun, needs_mpirun
from wrp.comm import names
from wrp.runtime.commands import chimaera, cli
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View

NAME = "oddly"
CALL = [sys.executable, "-m", "wrp.runtime.commands.cli"]


def shell(line, *arguments):
    """Run a line of bash in which "$@" is wrp-runtime with these arguments."""
    return subprocess.run(["bash", "-o", "pipefail", "-c", line, "bash", *CALL, *arguments], env=job_environment(), capture_output=True, text=True, timeout=50)


def refused(capsys, code, sentence, *arguments, program=cli):
    assert program.main(list(arguments)) == code, arguments
    said = capsys.readouterr()
    assert sentence in said.err and said.err.count("\n") == 1 and said.err.startswith("wrp: "), said.err


@pytest.mark.parametrize("text, sentence", [
    ("runtime: {queue_dept: 1}", "unknown key 'runtime.queue_dept'"),
    ("compose: [{mod_name: bdv, pool_name: x}]", "there is no module 'bdv'"),
    ("runtime: {conf_dir: FOLDER}", "the pools to make again can't be read"),
])
def test_a_restart_that_cannot_be_leaves_the_daemon(running, capsys, tmp_path, text, sentence):
    (tmp_path / "c.yaml").write_text(text.replace("FOLDER", str(tmp_path)))
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / f"{NAME}.json").write_text("{not JSON")
    assert cli.main(["restart", "--name", NAME, "--conf", str(tmp_path / "c.yaml")]) != 0
    assert sentence in capsys.readouterr().err
    with attach(NAME, 10) as attached:
        assert attached.about.pid == running.pid


@pytest.mark.parametrize("text, line, sentence", [
    ("- {mod_name: nothing, pool_name: x}", 2, "there is no module 'nothing'"),
    ("- {mod_name: bdev, pool_name: 'ram::x', pool_query: everywhere}", 2, "there is no route 'everywhere'"),
    ("- {mod_name: bdev, pool_name: 'ram::x', pool_query: 'direct_hash:1'}", 2, "a pool can't be made on direct_hash:1"),
    ("- mod_name: bdev\n  pool_name: ram::x\n  pool_id: zz", 4, "pool id 'zz' isn't MAJOR.MINOR"),
    ('- mod_name: admin\n  pool_name: "a\\nb"', 3, "can't name a pool"),
    ("- {mod_name: bdev, pool_name: 'ram::x', alignment: 3}", 2, "must be a power of two"),
    ("- {mod_name: bdev, pool_name: 'ram::x', capacity: 1m}\n- mod_name: bdev\n  pool_name: ram::x\n  capacity: 2m", 4, "stands here and in"),
])
def test_conf_check_says_what_no_runtime_can_do(capsys, tmp_path, text, line, sentence):
    path = tmp_path / "c.yaml"
    path.write_text(f"compose:\n{text}\n")
    refused(capsys, 3, sentence, "conf", "check", str(path))
    assert cli.main(["conf", "check", str(path)]) == 3 and f"{path}:{line}: " in capsys.readouterr().err


def test_doctor_says_where_kernels_cannot_be_kept(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WRP_CACHE_DIR", str(tmp_path / "file"))
    assert cli.main(["doctor"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "compiled kernels" in line]
    assert line.startswith(f"WRONG compiled kernels: {tmp_path}/file/kernels-") and "set WRP_CACHE_DIR to a folder that you can write" in line


def test_a_pool_that_is_listed_twice_alike_is_one(capsys, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("compose: [{mod_name: bdev, pool_name: 'ram::x'}, {mod_name: bdev, pool_name: 'ram::x'}, {mod_name: wrp_cte_core, pool_name: cte}]")
    assert cli.main(["conf", "check", str(path)]) == 0 and "correct" in capsys.readouterr().out
    path.write_text("compose: [{mod_name: wrp_cte_core, pool_name: cte}, {mod_name: clio_cte_core, pool_name: other}]")
    assert cli.main(["conf", "check", str(path)]) == 3 and "pools 'cte' and 'other' are both of module wrp_cte_core: a daemon has one store" in capsys.readouterr().err


def test_refusals(running, capsys, tmp_path):
    for arguments, code, sentence in (
            (["stop", "--name", NAME, "--timeout", "-1"], 2, "'-1' is not a number of seconds of 0 or more"),
            (["stop", "--name", NAME, "--timeout", "nan"], 2, "'nan' is not a number of seconds of 0 or more"),
            (["stop", "--name", NAME, "--grace-period", "soon"], 2, "'soon' is not a number of milliseconds of 0 or more"),
            (["monitor", "--name", NAME, "--interval", "x"], 2, "'x' is not a number of seconds above 0"),
            (["compose", "x", "--name", NAME, "--timeout", "-1"], 2, "'-1' is not a number of seconds of 0 or more"),
            (["migrate", "--name", NAME, "--pool", "admin", "--container", "0", "--node", "0", "--drain", "-1"], 2, "'-1' is not a number of seconds of 0 or more"),
            (["migrate", "--name", NAME], 2, "give --pool NAME or --pool-id MAJOR.MINOR, one of them; --container N; --node M: wrp-runtime migrate --help"),
            (["migrate", "--pool-id", "x", "--container-id", "y", "--node-id", "z"], 2, "MAJOR.MINOR, not 'x'; --container N, a whole number, not 'y'; --node M, a whole number, not 'z':"),
            (["conf", "check", str(tmp_path)], 3, "is no file"),
            (["start", "--name", "a/b"], 2, "can't name a segment")):
        refused(capsys, code, sentence, *arguments)
    refused(capsys, 2, "chimaera doesn't know 'runtime frobnicate'", "runtime", "frobnicate", program=chimaera)
    assert View(NAME).__enter__().close() is None


def test_a_compose_that_stops_half_way_says_what_it_made(running, capsys, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("compose: [{mod_name: bdev, pool_name: 'ram::half', capacity: 1m}, {mod_name: bdev, pool_name: 'ram::more', capacity: 1t}]")
    refused(capsys, 8, "made before that, and there now: ram::half", "compose", str(path), "--name", NAME)
    path.write_text("compose: [{mod_name: bdev, pool_name: 'ram::none', capacity: 1m}, {mod_name: bdev, pool_name: 'ram::odd', pool_id: odd}]")
    refused(capsys, 3, "pool id 'odd'", "compose", str(path), "--name", NAME)
    with attach(NAME, 10) as attached:
        assert attached.has_pool("ram::half") and not attached.has_pool("ram::none")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_module_goes_into_no_folder_that_cannot_be_written(tmp_path, capsys):
    tmp_path.chmod(0o500)
    refused(capsys, 2, "can't be written into", "module", "new", "mine", "--folder", str(tmp_path))


def test_half_a_module_is_none(tmp_path, capsys):
    """The name of its test is too long for a file."""
    name = "a" * 250
    refused(capsys, 2, "can't be written into", "module", "new", name, "--folder", str(tmp_path))
    refused(capsys, 2, "can't be written into", "module", "new", "mine", "--folder", "/proc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["status", "--name", NAME], ["conf", "show"], ["--help"], ["monitor", "-o", "--name", NAME]], ids=" ".join)
def test_output_that_cannot_be_written_is_one_sentence(running, command):
    done = shell('"$@" > /dev/full', *command)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and done.stderr.startswith("wrp: standard output can't be written: No space left"), done.stderr


def test_a_monitor_ends_with_its_reader(running):
    assert shell('"$@" | head -n 1', "monitor", "-i", "0.01", "-v", "--name", NAME).returncode == 0


@pytest.mark.parametrize("where", ["> /dev/full", "| head -n 1 > /dev/null"])
def test_a_daemon_whose_output_has_gone_is_closed_all_the_same(where):
    started = subprocess.Popen(["bash", "-o", "pipefail", "-c", f'"$@" {where}', "bash", *CALL, "start", "--name", "unheard"], env=job_environment(),
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        with attach("unheard", 40) as attached:
            attached.pool("ram::x", "bdev", capacity=1 << 20)
        time.sleep(0.3)
        assert cli.main(["stop", "--name", "unheard"]) == 0
        assert started.wait(20) == 0 and started.stderr.read() == ""
    finally:
        started.stderr.close()
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
    assert "unheard" not in os.listdir(names.folder())


@needs_mpirun
@pytest.mark.parametrize("arguments, environ, code, sentence", [
    (["bogus"], {}, 2, "invalid choice: 'bogus'"),
    (["status", "--name", "nosuch"], {}, 7, "no daemon 'nosuch' runs"),
    (["start", "--name", "never"], {"WRP_RANKS_PER_NODE": "abc"}, 2, "WRP_RANKS_PER_NODE is 'abc'"),
], ids=["bogus", "status", "environment"])
def test_rank_0_alone_tells_what_all_have_to_say(arguments, environ, code, sentence):
    done = mpirun(3, [*CALL, *arguments], env=environ)
    assert done.returncode == code and done.stderr.count("wrp: ") == 1 and sentence in done.stderr, done.stderr


def test_ranks_that_mpi_does_not_connect_say_so_once():
    def started(rank):
        return subprocess.run([*CALL, "start", "--name", "apart"], env=job_environment({"SLURM_STEP_NUM_TASKS": "64", "SLURM_PROCID": str(rank)}),
                              capture_output=True, text=True, timeout=50)
    first, other = started(0), started(63)
    assert first.returncode == other.returncode == 2 and "launcher and MPI library don't match" in first.stderr and other.stderr == ""


def test_chimaera_takes_the_options_of_the_reference(running, start_daemon, capsys):
    assert chimaera.main(["monitor", "-o", "-v", "--name", NAME]) == 0
    said = capsys.readouterr().out
    assert f"{NAME}: ready, process {running.pid}" in said and "pools: admin, ram::composed" in said and "tasks/s" in said
    for arguments in (["runtime", "--help"], ["--help"]):
        assert chimaera.main(arguments) == 0 and capsys.readouterr().out.startswith("usage: chimaera runtime start|stop|restart")
    for arguments, usage in ((["runtime", "stop", "--help"], "usage: chimaera runtime stop "), (["monitor", "--help"], "usage: chimaera monitor ")):
        with pytest.raises(SystemExit):
            chimaera.main(arguments)
        assert capsys.readouterr().out.startswith(usage)
    ending = start_daemon("graceful")
    assert chimaera.main(["runtime", "stop", "--name", "graceful", "--grace-period", "15000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pid"] == ending.pid and ending.wait() == 0
