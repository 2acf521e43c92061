"""Where the peers live: an environment of Python for each list of packages, and servers that end with their block."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
import venv

FOLDER = os.path.join(tempfile.gettempdir(), f"wrp-peers-{os.getuid()}")


def environment_with(folder, *packages):
    """The folder of programs of an environment with the packages, made when it isn't there. CalledProcessError when pip can't."""
    programs = os.path.join(folder, "bin")
    done = os.path.join(folder, "installed")
    if not os.path.exists(done):
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([os.path.join(programs, "pip"), "install", "-q", *packages], check=True, timeout=900)
        with open(done, "w", encoding="utf-8"):
            pass
    return programs


def versions(programs):
    """{package: version} of an environment."""
    frozen = subprocess.run([os.path.join(programs, "pip"), "list", "--format=freeze"], text=True, stdout=subprocess.PIPE, check=True).stdout
    return dict(line.lower().split("==", 1) for line in frozen.splitlines() if "==" in line)


@contextlib.contextmanager
def server(call, **options):
    """A server process that is ended afterwards."""
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)


@contextlib.contextmanager
def redis_server():
    """Path of the socket of a Redis that keeps nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with server(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]):
            _await(path)
            yield path


def _await(path):
    until = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
            return
        if time.monotonic() > until:
            raise TimeoutError("redis-server doesn't open its socket within 20 s")
        time.sleep(0.05)
