"""chimaera_runtime_ext as scripts of the reference use it: attached to a daemon, with a runtime of its own, without anybody to ask."""

import subprocess
import sys

from harness.mpirun import job_environment, needs_mpirun, run_python

_ASKING = """
import sys
import msgpack
import chimaera_runtime_ext as chimaera
assert chimaera.chimaera_init(int(sys.argv[1])) is True and chimaera.chimaera_init(int(sys.argv[1])) is True
task = chimaera.async_monitor("broadcast", "worker_stats")
found = task.wait(10.0)
assert task.is_complete() and task.get_return_code() == 0 and 0 in found
assert all(worker["is_running"] for answer in found.values() for worker in msgpack.unpackb(answer))
assert found == task.wait()
task = chimaera.async_monitor("local", "pool_stats://1.0:stats:local")
assert list(task.wait().values()) and task.get_return_code() == 0
task = chimaera.async_monitor("local", "worker_stat")
assert task.is_complete() and task.wait() == {} and task.get_return_code() == 2
print(len(found), "answers")
"""
_STOPPING = _ASKING + """
chimaera.stop_runtime("local", 20_000)
try:
    chimaera.async_monitor("local", "worker_stats")
except ValueError as error:
    print("refused:", error)
"""


def run(code, mode, **env):
    return subprocess.run([sys.executable, "-c", code, str(mode)], env=job_environment(env), capture_output=True, text=True, timeout=50)


def test_a_client_asks_a_daemon_and_stops_it(start_daemon):
    running = start_daemon("faced")
    done = run(_STOPPING, 0, WRP_RUNTIME_NAME="faced")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1 answers", "refused: chimaera_init wasn't called, or said False: call it first"]
    assert "there is no query 'worker_stat'; did you mean 'worker_stats'?" in done.stderr
    assert running.wait() == 0


def test_nobody_to_ask():
    done = run("import chimaera_runtime_ext as c; print(c.chimaera_init(c.ChimaeraMode.kClient)); c.chimaera_finalize()", 0,
               WRP_RUNTIME_NAME="nobody", CHI_WAIT_SERVER="0")
    assert done.returncode == 0 and done.stdout == "False\n" and "no daemon 'nobody' runs on this node" in done.stderr


def test_a_runtime_of_its_own(tmp_path):
    conf = tmp_path / "c.yaml"
    conf.write_text("runtime: {segment_capacity: 64m, timeout_s: 20}")
    for mode, env in ((2, {}), (0, {"CHI_WITH_RUNTIME": "1"})):
        done = run(_STOPPING, mode, WRP_RUNTIME_CONF=str(conf), **env)
        assert done.returncode == 0 and done.stdout.startswith("1 answers\n"), done.stderr


@needs_mpirun
def test_ranks_of_two_nodes(tmp_path):
    conf = tmp_path / "c.yaml"
    conf.write_text("runtime: {segment_capacity: 64m, timeout_s: 20}")
    done = run_python(_ASKING.replace("int(sys.argv[1])", "2"), 2, env={"WRP_RANKS_PER_NODE": "1", "WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode == 0 and done.stdout.count("2 answers") == 2, done.stderr
