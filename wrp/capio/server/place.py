"""Where a server of a workflow lies on this node: a 0700 folder with its socket, its table, its lock and the list of what it has made."""

import fcntl
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from wrp.comm import names
from wrp.errors import StoreBusy, UsageError

DEFAULT_WORKFLOW = "CAPIO"
BUSY = StoreBusy.exit_code     # what a server ends with when another one was there first
_PREFIX = "capio-"
_SOCKET_NBYTES = 107            # sun_path
_TABLE, _RULES = "table", "rules"


def _fnv(text):
    value = 0xCBF29CE484222325
    for byte in os.fsencode(text):
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value


def folder(workflow):
    """The folder of the workflow's server, whether one runs or not. The shim computes the same."""
    return Path(names.folder()) / f"{_PREFIX}{_fnv(workflow):016x}"


def socket_path(workflow):
    path = folder(workflow) / "socket"
    if len(os.fsencode(path)) > _SOCKET_NBYTES:
        raise UsageError(f"the path of the server's socket, {path}, is longer than {_SOCKET_NBYTES} bytes; set WRP_SHM_DIR to a shorter one")
    return path


class Place:
    """The folder while this process is the server. StoreBusy when another one is; what a dead one left is tidied up first."""

    def __init__(self, workflow, capio_dir, keep=None):
        """keep : where permanent files are brought, None: they stay where they are"""
        self.folder, self.socket = folder(workflow), socket_path(workflow)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = _locked(self.folder)
        if self._lock is None:
            raise StoreBusy(f"a CAPIO server of the workflow {workflow!r} runs already on this node: {_owner(self.folder)}; join it, or "
                            "end it with: capio stop")
        self.left = _tidy(self.folder)
        self._made = os.open(self.folder / "made", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        about = {"workflow": workflow, "pid": os.getpid(), "capio_dir": str(capio_dir), "keep": keep}
        (self.folder / "about").write_text(json.dumps(about), encoding="utf-8")

    @property
    def table(self):
        return self.folder / _TABLE

    def keep_rules(self, record):
        """Write down which files go, for those that are posted in the table when this server is killed."""
        (self.folder / _RULES).write_text(json.dumps(record), encoding="utf-8")

    def will_vanish(self, *paths):
        """Write down files that are to go with the workflow, before they are made, or their posts are taken."""
        os.write(self._made, "".join(f"{json.dumps(path)}\n" for path in paths).encode())

    def will_be_kept(self, *paths):
        """Write down files that are to be brought to their real place, as `will_vanish` does."""
        os.write(self._made, "".join(f"{json.dumps({'keep': path})}\n" for path in paths).encode())

    def will_stay(self, path):
        """Write down that a file doesn't go, though it was to."""
        os.write(self._made, f"{json.dumps([path])}\n".encode())

    def close(self, keep=False):
        """Give the place up; idempotent. `keep`: the files that are to go stay listed, for the next server."""
        if self._lock is None:
            return
        os.close(self._made)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        self._lock = None


def tidy_all():
    """Remove what dead servers of this user left on this node; returns the files that went."""
    gone = []
    for found in Path(names.folder()).glob(_PREFIX + "*"):
        lock = _locked(found)
        if lock is None:
            continue
        try:
            gone += _tidy(found)
            shutil.rmtree(found, ignore_errors=True)
        finally:
            os.close(lock)
    return gone


def running():
    """What the servers of this user on this node say of themselves: [{workflow, pid, capio_dir}]."""
    found = []
    for place in sorted(Path(names.folder()).glob(_PREFIX + "*")):
        lock = _locked(place)
        if lock is not None:
            os.close(lock)
            continue
        try:
            found.append(json.loads((place / "about").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue            # it is just starting, or ending
    return found


def _locked(place):
    """A descriptor that holds the folder's lock, or None while another process does."""
    try:
        lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None             # it went this moment
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _owner(place):
    try:
        return f"process {json.loads((place / 'about').read_text(encoding='utf-8'))['pid']}"
    except (OSError, ValueError, KeyError):
        return "it is just starting"


def _tidy(place):
    """Remove the files that a dead server had written down, or had still to read of, and its own, and bring others to their real place; returns the files
    that went."""
    keep, (vanishing, kept) = _keeper(place), _posted(place)
    gone = [path for path in vanishing if remove(path)]
    try:
        lines = (place / "made").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    stay = set()                # what is written later counts
    for line in reversed(lines):
        try:
            path = json.loads(line)
        except ValueError:
            continue            # it died while it wrote this line, so the file isn't there yet
        if isinstance(path, list):
            stay.update(path)
        elif isinstance(path, dict):
            kept.append(path["keep"])
        elif path not in stay and remove(path):
            gone.append(path)
    for path in kept:
        keep(path)
    for name in ("made", "about", "socket", _TABLE, _RULES):
        (place / name).unlink(missing_ok=True)
    return gone


def _keeper(place):
    """A function that brings a permanent file of a dead server to its real place."""
    from wrp.capio.server.keeping import bring, target
    try:
        about = json.loads((place / "about").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        about = {}

    def keep(path):
        if about.get("keep"):
            with suppress(OSError):     # it stays where it is
                bring(path, target(path, about["capio_dir"], about["keep"]))
    return keep


def _posted(place):
    """([path], [path]) of the files that processes had posted, which a dead server hadn't taken: those that go with the workflow, those that are permanent."""
    from wrp.capio.language import vanishing    # programs in Python, which ask where the socket is, don't want these
    from wrp.capio.server import posts
    try:
        workflow = vanishing.from_record(json.loads((place / _RULES).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return [], []           # it died before it served anybody
    paths = [f"{workflow.capio_dir}/{name}" for name in posts.left(place / _TABLE)]
    return [[path for path in paths if says(workflow.look(path))] for says in (vanishing.vanishes, vanishing.stays)]


def remove(path):
    """Remove a file, or a directory that is empty; True when it went."""
    try:
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        return True
    except OSError:
        return False
