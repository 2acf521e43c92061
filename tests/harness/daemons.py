"""Daemons as processes of their own, started and ended by tests."""

import signal
import subprocess
import sys
import time

import pytest

from harness.bound import bound
from harness.mpirun import find_mpirun, job_environment
from wrp.errors import WrpError
from wrp.runtime.daemon.view import View

_START_S = 40
_STOP_S = 20
_CONF = """
runtime: {timeout_s: 20, segment_capacity: 128m}
compose:
  - {mod_name: bdev, pool_name: "ram::composed", capacity: 32m}
"""


class Running:
    """A daemon process, or a job of several; `lines` of its output once it has ended."""

    def __init__(self, name, conf, ranks, env=None, command="start", until_not=0, program="cli"):
        self.name, self.lines, self._until_not = name, [], until_not
        launch = [find_mpirun(), "-n", str(ranks)] if ranks else []
        call = [*launch, sys.executable, "-m", f"wrp.runtime.commands.{program}", *command.split(), "--name", name, "--conf", str(conf)]
        self.process = subprocess.Popen(bound(call), env=job_environment(env), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self._wait()

    def _wait(self):
        until = time.monotonic() + _START_S
        while True:
            try:
                with View(self.name) as view:
                    if view.status()["state"] == "ready" and view.about.pid != self._until_not:
                        self.pid = view.about.pid
                        return
            except WrpError:
                pass            # not there yet
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise AssertionError(f"the daemon doesn't start: {self.lines}")
            time.sleep(0.05)

    def end(self, number=signal.SIGTERM):
        """Send a signal and wait: the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self):
        try:
            out, _ = self.process.communicate(timeout=_STOP_S)
            self.lines = self.lines or out.splitlines()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        if self.process.returncode:
            print(f"the daemon {self.name} ended with {self.process.returncode}:", *self.lines, sep="\n")       # seen where a test fails
        return self.process.returncode

    def kill(self):
        """kill -9: nothing is tidied up."""
        self.process.kill()
        self.lines = self.process.communicate()[0].splitlines()


@pytest.fixture(scope="session")
def start_daemon(tmp_path_factory):
    """start_daemon(name, ranks=0, env=None, ...) -> Running; all are ended after the tests."""
    conf = tmp_path_factory.mktemp("daemon") / "conf.yaml"
    conf.write_text(_CONF)
    started = []

    def start(name, ranks=0, env=None, **more):
        started.append(Running(name, conf, ranks, env, **more))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.end()
