"""Where a server of a workflow lies on this node: a 0700 folder with its socket, its table, its lock and the list of what it has made."""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path

from wrp.capio.server import depot, endings
from wrp.comm import names
from wrp.errors import StoreBusy, UsageError

DEFAULT_WORKFLOW = "CAPIO"
BUSY = StoreBusy.exit_code     # what a server ends with when another one was there first
_PREFIX = "capio-"
_SOCKET_NBYTES = 107            # sun_path
_TABLE, _RULES = "table", "rules"
_LOOK_S, _NAP_S = 2.0, 0.005    # how long one who only looks, or tidies, may have the lock that a server wants


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
        """keep : where permanent files are brought, None: they stay where they are. `left`: of what a dead server had left, the files that went, and sentences
        about those that couldn't be brought."""
        self.folder, self.socket = folder(workflow), socket_path(workflow)
        self._lock = _taken(self.folder)
        if self._lock is None:
            raise StoreBusy(f"a CAPIO server of the workflow {workflow!r} runs already on this node: {_owner(self.folder)}; join it, or "
                            "end it with: capio stop")
        *self.left, self._owed = _tidy(self.folder)
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

    def owes(self, path, real):
        """A file couldn't be brought to where it is to stay, `real`: (CAPIO_DIR, the folder, None: its name), and is to be by the next server."""
        self._owed[path] = real

    def close(self, keep=False):
        """Give the place up; idempotent. `keep`: the files that are to go stay listed, for the next server."""
        if self._lock is None:
            return
        os.close(self._made)
        if not keep:
            _remove(self.folder, self._owed)
        os.close(self._lock)
        self._lock = None


def tidy_all():
    """Remove what dead servers of this user left on this node, but for what still has to be brought; returns the files that went, and sentences about those
    that couldn't be brought, which a next call tries again."""
    gone, sentences = [], []
    for found in Path(names.folder()).glob(_PREFIX + "*"):
        lock = _locked(found)
        if lock is None:
            continue
        try:
            *left, owed = _tidy(found)
            gone += left[0]
            sentences += left[1]
            _remove(found, owed)
        finally:
            os.close(lock)
    return gone, sentences


def running():
    """What the servers of this user on this node say of themselves: [{workflow, pid, capio_dir}]."""
    found = []
    for place in sorted(Path(names.folder()).glob(_PREFIX + "*")):
        lock = _locked(place, makes=False)          # made again, where it has just been removed, it would keep the folder
        if lock is not None:
            os.close(lock)
            continue
        try:
            found.append(json.loads((place / "about").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue            # it is just starting, or ending
    return found


def _taken(place):
    """The lock of a folder, made where it isn't there; None while another server has it. Others have it for a moment, as they look whether there is a server,
    and may remove the folder then."""
    deadline = time.monotonic() + _LOOK_S
    while True:
        place.mkdir(mode=0o700, exist_ok=True)
        lock = _locked(place)
        if lock is not None or _is_served(place) or time.monotonic() > deadline:
            return lock
        time.sleep(_NAP_S)


def _is_served(place):
    """True when the server that says it has the folder lives."""
    try:
        return not endings.is_ending(json.loads((place / "about").read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError):
        return False


def _locked(place, makes=True):
    """A descriptor that holds the folder's lock, or None while another process does, or there is none and it isn't to be made."""
    try:
        lock = os.open(place / "lock", os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if makes else 0), 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None             # it went this moment
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(place / "lock")):
            return lock
    except (BlockingIOError, FileNotFoundError, NotADirectoryError):
        pass
    os.close(lock)              # another one's, or that of a folder that has gone
    return None


def _owner(place):
    try:
        return f"process {json.loads((place / 'about').read_text(encoding='utf-8'))['pid']}"
    except (OSError, ValueError, KeyError):
        return "it is just starting"


def _tidy(place):
    """Remove the files that a dead server had written down, or had still to read of, and its own, and bring others to their real place; returns the files
    that went, sentences about those that couldn't be brought, and {file: (its CAPIO_DIR, the folder)} of them, which are written down again."""
    (capio_dir, real), (vanishing, posted) = _real(place), _posted(place)
    kept = dict.fromkeys(posted, real)
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
            kept.setdefault(path["keep"], path.get("real") or real)
        elif path not in stay and remove(path):
            gone.append(path)
    kept = {path: to for path, to in kept.items() if to is not None}
    if os.path.lexists(place / depot.NAME) and capio_dir:
        kept |= {path: (capio_dir, None) for path in depot.links_below(capio_dir, os.path.realpath(place) + f"/{depot.NAME}") if path not in kept}
    owed, sentences = _bring(kept)
    _forget(place, owed)
    return gone, sentences, owed


def _real(place):
    """CAPIO_DIR of a dead server, "" where it isn't known, and (that, the folder that permanent files are brought to); None: they stay."""
    try:
        about = json.loads((place / "about").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "", None
    return about["capio_dir"], (about["capio_dir"], about["keep"]) if about.get("keep") else None


def _bring(kept):
    """Bring files of a dead server, {file: (its CAPIO_DIR, the folder, or None: from a depot to its name)}; returns those that couldn't be brought, and
    sentences about them."""
    from wrp.capio.server.keeping import bring_below, settle, stays
    owed, sentences = {}, []
    for path, real in kept.items():
        capio_dir, folder = real
        try:
            bring_below(folder, path, capio_dir) if folder is not None else settle(path)
        except OSError as error:
            owed[path] = real
            sentences.append(f"{stays(path, folder or 'its name', error)}, and is tried again by the next server")
    return owed, sentences


def _forget(place, owed):
    """Remove a server's own files. Only what is owed, still to be brought, is written down from now on."""
    if owed:
        lines = [json.dumps({"keep": path, "real": real}) + "\n" for path, real in reversed(owed.items())]      # what is written later is brought first
        (place / "owed").write_text("".join(lines), encoding="utf-8")
        os.replace(place / "owed", place / "made")
    else:
        (place / "made").unlink(missing_ok=True)
        depot.remove(place)
    for name in ("about", "socket", _TABLE, _RULES):
        (place / name).unlink(missing_ok=True)


def _remove(place, owed):
    """Give a folder up; it stays as long as something is owed. Its lock goes last: from then on the folder may be the next server's."""
    _forget(place, owed)
    if not owed:
        shutil.rmtree(place, ignore_errors=True)


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
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else depot.unlink(path)
        return True
    except OSError:
        return False
