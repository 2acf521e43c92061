"""A server of a workflow and programs of its steps, as processes of their own, started and ended by tests."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from harness.bound import bound
from wrp.capio import shim
from wrp.capio.client import Client
from wrp.capio.commands import ways
from wrp.capio.server import place
from wrp.errors import RuntimeGone

LIMIT_S = 20
needs_compiler = pytest.mark.skipif(shim.compiler() is None, reason="no C compiler for the shim")


def document(name="flow", permanent=(), **streams):
    """A workflow of the steps writer and reader. streams: file pattern="commit mode", with "__" for "." and "_x_" for "*"."""
    return {"name": name, "permanent": list(permanent), "IO_Graph": [
        {"name": "writer", "input_stream": [], "output_stream": list(streams), "streaming": [
            {"name": [pattern], "committed": rule.split()[0], "mode": rule.split()[1]} for pattern, rule in streams.items()]},
        {"name": "reader", "input_stream": list(streams), "output_stream": []}]}


class Flow:
    """A running server; `start` and `run` begin programs of steps, with the shim unless via=None. What is left at the end is killed."""

    def __init__(self, folder, workflow, *options):
        self.folder = folder
        self.dir = folder / "data"
        self.dir.mkdir(exist_ok=True)
        self.name, self.started = workflow["name"], []
        (folder / "workflow.json").write_text(json.dumps(workflow))
        self._log = open(folder / "server.log", "w+")
        self.server = subprocess.Popen(bound([sys.executable, "-m", "wrp.capio.commands.serve", "-c", folder / "workflow.json", "--dir", self.dir,
                                              *options]), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        self._launchers = {}
        try:
            self.client = Client(self.name, wait_s=LIMIT_S)
        except RuntimeGone:
            self.server.kill()
            self.server.wait()
            raise AssertionError(self.log()) from None

    def log(self):
        return (self.folder / "server.log").read_text()

    def hold(self, *steps):
        """The steps last until `release`, whatever processes they have."""
        for step in steps:
            self._launchers[step] = Client(self.name)
            self._launchers[step].control("start", step=step)

    def release(self, step, code=0, signal=None):
        with self._launchers.pop(step) as client:
            client.control("stop", code=code, signal=signal)

    def environment(self, step, via="shim", **more):
        env = dict(os.environ, CAPIO_DIR=str(self.dir), CAPIO_WORKFLOW_NAME=self.name) | more
        if step is not None:
            env["CAPIO_APP_NAME"] = step
        return ways.environment(env, via)

    def start(self, step, command, via="shim", stdin=False, **more):
        """A Popen with pipes, for its input too where asked; a command that is a text goes to bash."""
        words = ["bash", "-c", command] if isinstance(command, str) else [str(word) for word in command]
        process = subprocess.Popen(words, env=self.environment(step, via, **more), cwd=self.folder, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.started.append(process)
        return process

    def launch(self, step, command, via, **more):
        """A Popen of `capio run`, which joins this server."""
        words = [sys.executable, "-m", "wrp.capio.commands.cli", "run", "-c", self.folder / "workflow.json", "--dir", self.dir, "--via", via, step, "--"]
        return self.start(None, [*words, "bash", "-c", command] if isinstance(command, str) else [*words, *command], via=None, **more)

    def run(self, step, command, **more):
        """(exit code, bytes of standard output, text of standard error)."""
        return ended(self.start(step, command, **more))

    def status(self):
        return self.client.control("status")

    def wait_for(self, what, limit_s=LIMIT_S):
        """Until what(status) is true; returns the status."""
        deadline = time.monotonic() + limit_s
        while not what(status := self.status()):
            assert time.monotonic() < deadline, status
            time.sleep(0.01)
        return status

    def wait_waiting(self, count=1):
        return self.wait_for(lambda status: len(status["waiting"]) >= count)

    def kill_server(self):
        self.server.kill()
        self.server.wait()

    def end(self):
        """End the server as a user would; returns its exit code."""
        self.client.close()
        for client in self._launchers.values():
            client.close()
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
        try:
            return self.server.wait(LIMIT_S)
        finally:
            if self.server.poll() is None:      # the next test's server may have its name
                self.kill_server()
            for process in self.started:
                killed(process)
            self._log.close()
            place.tidy_all()


def killed(process):
    """kill -9 of a program and all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()


def ended(process):
    """(exit code, bytes of standard output, text of standard error) of a process, killed when it takes too long."""
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"{process.args} doesn't end: {out[-300:]} {err[-2000:]}") from None
    return process.returncode, out, err.decode(errors="replace")
