"""``capio doctor``: which ways of interception work here and why not, and what the server needs of the kernel. Tries each for real."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile

from wrp.capio import shim
from wrp.capio.seccomp.starting import Held
from wrp.capio.server import endings, place
from wrp.capio.server.watch import Watch
from wrp.comm.command import say
from wrp.errors import WrpError

_NOTHING = [sys.executable, "-c", ""]
_LIMITS = "/proc/sys/fs/inotify/"


def doctor(args):
    """Exit code 1 when the server, or every way, doesn't work here."""
    ways = {"shim": _tried(_shim), "python": "", "seccomp": _tried(_seccomp)}
    server = {"inotify": _tried(_inotify), "pidfd": _tried(_pidfd), "shared memory": _tried(place.running)}
    notes = _notes()
    if args.json:
        say(json.dumps({"ways": ways, "server": server, "notes": notes}, indent=1))
    else:
        say("\n".join([f"{kind} {name}: {problem or 'works'}" for kind, found in (("way", ways), ("server", server)) for name, problem in found.items()] +
                      [f"note: {note}" for note in notes]))
    return 1 if any(server.values()) else 0


def _tried(attempt):
    """"" or why it doesn't work."""
    try:
        return attempt() or ""
    except (WrpError, OSError) as error:
        return str(error)


def _shim():
    done = subprocess.run([sys.executable, "-c", "import os; print(os.path.basename(max(open('/proc/self/maps').read().split(), key=lambda w: 'capio' in w)))"],
                          env=dict(os.environ, LD_PRELOAD=str(shim.path())), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return "" if shim.NAME in done.stdout else f"the library isn't loaded by programs: {done.stderr.strip() or 'it is ignored'}"


def _seccomp():
    with tempfile.TemporaryDirectory() as folder:
        held = Held(_NOTHING, dict(os.environ), None, "doctor", "doctor", folder)
        try:
            _, status = os.waitpid(held.pid, 0)
        finally:
            held.close()
    return "" if os.waitstatus_to_exitcode(status) == 0 else f"a program ended with {os.waitstatus_to_exitcode(status)}"


def _inotify():
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(folder)
        try:
            open(os.path.join(folder, "x"), "w").close()
            return "" if len(watch.read()) == 2 else "the kernel doesn't tell of files"
        finally:
            watch.close()


def _pidfd():
    os.close(os.pidfd_open(os.getpid()))


def _notes():
    found = []
    process = subprocess.Popen(_NOTHING, stdin=subprocess.DEVNULL)
    fd = os.pidfd_open(process.pid)
    process.wait()
    if endings.how(process.pid, fd) != (0, None):
        found.append("this kernel doesn't tell how other people's processes ended (Linux 6.15 does): a program that ends without a word counts as killed")
    os.close(fd)
    with tempfile.NamedTemporaryFile() as file:
        if not hasattr(fcntl, "F_SETLEASE") or endings.is_written(file.name) is None:
            found.append(f"the file system of {os.path.dirname(file.name)} has no leases: closes of several writers at the same moment may be counted as one")
    for name in ("max_user_watches", "max_user_instances"):
        try:
            with open(_LIMITS + name, encoding="ascii") as limit:
                found.append(f"fs.inotify.{name} is {limit.read().strip()}" + ("; a workflow needs one for each directory" if "watches" in name else "; a server needs one"))
        except OSError:
            pass
    return found
