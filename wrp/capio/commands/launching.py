"""Starting a server where none runs, and a step's program with all it needs in its environment; waiting for all its processes."""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from wrp.capio.client import Client
from wrp.capio.commands import ways
from wrp.capio.language.plan import NO_UPDATE
from wrp.capio.seccomp.starting import Held
from wrp.capio.server import place
from wrp.comm import names
from wrp.errors import RuntimeGone, StoreError, WaitTimeout

_START_S = 20.0
_TURN_S, _NAP_S = 300.0, 0.02   # of everybody who wants a server started at once, each his turn
_SUBREAPER = 36
_LINGER_S = 120.0


def server_for(workflow, args, directory):
    """A Client of the workflow's server, which is started when none runs; it ends by itself after the last step, but not while this is open."""
    with _starting():           # two of us would start two, and the slower one might find the workflow over and begin it again
        try:
            return Client(workflow.name)
        except RuntimeGone:
            return _started(workflow, args, directory)


@contextmanager
def _starting():
    folder = os.open(names.folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + _TURN_S
        while not _is_locked(folder):
            if time.monotonic() >= until:
                raise WaitTimeout(f"waited {_TURN_S:g} s for another 'capio run' of this user, which has been starting a CAPIO server meanwhile: look whether it is halted")
            time.sleep(_NAP_S)
        yield
    finally:
        os.close(folder)


def _is_locked(folder):
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _started(workflow, args, directory):
    command = [sys.executable, "-m", "wrp.capio.commands.serve", "-c", os.path.abspath(args.config), "--dir", directory,
               "--on-failure", args.on_failure, "--linger", str(_LINGER_S)]
    command += ["--deadline", str(args.deadline)] if args.deadline else []
    command += ["--resolve-prefix", args.prefix] if args.prefix else []
    command += ["--keep", os.path.abspath(args.keep)] if args.keep else []
    folder = place.folder(workflow.name)
    log = folder.with_name(folder.name + ".log")
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        return _met(workflow, process, log)
    finally:
        log.unlink(missing_ok=True)


def _met(workflow, process, log):
    deadline = time.monotonic() + _START_S
    while True:
        try:
            return Client(workflow.name, wait_s=0.1)
        except RuntimeGone:
            # a server started by hand may have been quicker, and answers in a moment
            if time.monotonic() > deadline or (process.poll() is not None and process.returncode != place.BUSY):
                said = log.read_text(errors="replace").strip()
                raise StoreError(f"the CAPIO server doesn't start: {said or 'it said nothing'}") from None


def environment(workflow, step, directory, via):
    """The environment of a step's programs."""
    return ways.environment(dict(os.environ, CAPIO_DIR=directory, CAPIO_WORKFLOW_NAME=workflow.name, CAPIO_APP_NAME=step), via)


def run_step(workflow, step, env, via, parts=1):
    """Start a step's program, wait until it and all processes that it has started have ended; (exit code, signal) of the program.

    parts : how many launchers the step has in all
    """
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)         # orphans of the step become our children
    with Client(workflow.name) as client:
        client.control("start", step=step.name, parts=parts)
        try:
            process = Held(step.command, env, step.cwd, workflow.name, step.name, env["CAPIO_DIR"], _may_stream(workflow, step.name)) if via == "seccomp" \
                else subprocess.Popen(step.command, env=env, cwd=step.cwd)
        except OSError as error:
            client.control("stop", code=127, signal=None)
            raise StoreError(f"{step.name}: cannot start {step.command[0]}: {error.strerror}") from error
        code, number = _waited(process)
        if via == "seccomp":
            process.close()
        try:
            client.control("stop", code=code, signal=number)
        except RuntimeGone as gone:
            if code == 0:
                raise RuntimeGone(f"{gone} before the step {step.name} did") from None
    return code, number


def _may_stream(workflow, name):
    """True for a step that may read files while they grow."""
    step = workflow.step(name)
    return step is not None and bool(step.inputs) and any(rule.property == "mode" and rule.value == NO_UPDATE for rule in workflow.rules)


def _waited(process):
    """(exit code, signal) of the process, once there are no children left."""
    # a handler, which exec resets, rather than "ignore", which the step would inherit
    before = signal.signal(signal.SIGINT, lambda *_: None), signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    result = None
    try:
        while True:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                break
            if pid == process.pid:
                result = (None, os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (os.WEXITSTATUS(status), None)
                process.returncode = result[0] if result[1] is None else -result[1]
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    return result
