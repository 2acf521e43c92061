"""A server of a workflow and the programs of its steps, for perf/capio.py; every process has a deadline. Measures wall seconds, judges nothing."""

import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from harness.bound import bound  # noqa: E402
from wrp.capio.client import Client  # noqa: E402
from wrp.capio.commands import ways  # noqa: E402

LIMIT_S = 300
_numbers = itertools.count()


def document(name, files):
    """The workflow: writer makes f-* and the folders many-* of so many files, reader reads them as they grow."""
    made = ["f-*", "many-*"]
    return {"name": name, "IO_Graph": [
        {"name": "writer", "output_stream": made, "streaming": [
            {"name": ["f-*"], "committed": "on_close", "mode": "no_update"},
            {"dirname": ["many-*"], "committed": "on_n_files", "n_files": files, "mode": "no_update"}]},
        {"name": "reader", "input_stream": made, "output_stream": []}]}


class Flow:
    """`managed`: the folder that the server watches; `plain`: one that nobody watches. Both steps last until `close`."""

    def __init__(self, folder, files):
        self.managed, self.plain = Path(folder, "managed"), Path(folder, "plain")
        self.managed.mkdir()
        self.plain.mkdir()
        self._name, self._started, self._clients = f"perf-{os.getpid()}-{next(_numbers)}", [], []
        flow = Path(folder, "flow.json")
        flow.write_text(json.dumps(document(self._name, files)))
        self._server = self._popen(bound([sys.executable, "-m", "wrp.capio.commands.serve", "-c", flow, "--dir", self.managed]), os.environ)
        try:
            for step in ("writer", "reader"):
                self._clients.append(Client(self._name, wait_s=30))
                self._clients[-1].control("start", step=step)
        except BaseException:
            self.close()
            raise

    def _popen(self, command, env, **more):
        process = subprocess.Popen([str(word) for word in command], env=env, start_new_session=True, **({"stdin": subprocess.DEVNULL} | more))
        self._started.append(process)
        return process

    def start(self, step, *command, **more):
        """A program of a step with the shim; step None: a plain one."""
        env = dict(os.environ)
        if step is not None:
            env = ways.environment(env | {"CAPIO_DIR": str(self.managed), "CAPIO_WORKFLOW_NAME": self._name, "CAPIO_APP_NAME": step}, "shim")
        return self._popen(command, env, **more)

    def seconds(self, *programs):
        """Wall seconds of programs, (step, word, …) each, from the start of the first to the end of the last."""
        begun = time.perf_counter()
        processes = [self.start(*program, stderr=subprocess.PIPE) for program in programs]
        for process in processes:
            finish(process)
        taken = time.perf_counter() - begun
        for process in processes:
            said = process.stderr.read().decode(errors="replace")
            process.stderr.close()
            if process.returncode:
                raise SystemExit(f"{process.args} ended with {process.returncode}: {said[-2000:]}")
            self._started.remove(process)
        return taken

    def figures(self, *program):
        """The JSON that a program prints."""
        process = self.start(*program, stdout=subprocess.PIPE)
        finish(process)
        with process.stdout as out:
            said = out.read()
        if process.returncode:
            raise SystemExit(f"{process.args} ended with {process.returncode}")
        self._started.remove(process)
        return json.loads(said)

    def close(self):
        for client in self._clients:
            client.close()
        if self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
        try:
            finish(self._server, 60)
        finally:
            for process in self._started:
                kill(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def end_at_sigterm():
    """A time limit's SIGTERM ends this process as an error does: what it has started and made goes first."""
    def end(number, _):
        raise SystemExit(128 + number)
    signal.signal(signal.SIGTERM, end)


def used_memory(folder, nbytes):
    """Have so many bytes of the page cache free that were in use just now: a virtual machine gives back what is free for seconds, and its host then makes those
    who write pay for every page (five times the time of the write). Contenders pay for nothing, all of them."""
    block, path = bytes(1 << 20), Path(folder, "used")
    with open(path, "wb", buffering=0) as file:
        for _ in range(nbytes >> 20):
            file.write(block)
    path.unlink()


def finish(process, limit_s=LIMIT_S):
    """Wait for the end, to the microsecond (Popen.wait with a time-out looks every 50 ms)."""
    fd = os.pidfd_open(process.pid)
    try:
        if not select.select([fd], [], [], limit_s)[0]:
            kill(process)
            raise SystemExit(f"{process.args} doesn't end within {limit_s} s")
    finally:
        os.close(fd)
    process.wait()


def kill(process):
    """kill -9 of a program and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
