"""Permanent files of a run whose CAPIO_DIR isn't where they are to stay: brought to their real place, when they are complete and at the end."""

import errno
import os
import queue
import shutil
import stat
import threading
from contextlib import suppress

from wrp.capio.server import endings
from wrp.capio.server.depot import lies_at
from wrp.comm.lasting import sync_path


class Keeping:
    """`folder`: the real place of CAPIO_DIR's files; `place` writes down what is to be brought there, for a next server. A thread copies what is complete
    while the run goes on; `end` brings the rest, and takes all away from CAPIO_DIR."""

    def __init__(self, capio_dir, folder, place):
        self._capio_dir, self._folder, self._place = capio_dir, folder, place
        self._paths, self._copied = set(), {}           # {path: _mark of what was copied}
        self._queue, self._thread = queue.SimpleQueue(), None

    def expects(self, *paths):
        """The run makes these files."""
        new = [path for path in paths if path not in self._paths]
        if new:
            self._paths.update(new)
            self._place.will_be_kept(*new)

    def completed(self, path):
        """The file is complete: it is copied by and by."""
        if path in self._paths:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="capio-keeping", daemon=True)
                self._thread.start()
            self._queue.put(path)

    def _run(self):
        for path in iter(self._queue.get, None):
            try:
                mark = _mark(path)
                if mark is not None and os.stat(path).st_dev != os.stat(self._folder).st_dev:       # else it only gets a name there, at the end
                    _copy(path, target(path, self._capio_dir, self._folder))
                    self._copied[path] = mark
            except OSError:
                pass                    # at the end it is tried again, and told of

    def end(self):
        """Bring what is left; returns sentences about files that couldn't be brought, which stay."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        sentences = []
        for path in sorted(self._paths, reverse=True):          # a directory after what lies in it
            try:
                self._bring(path)
            except OSError as error:
                sentences.append(stays(path, self._folder, error))
        return sentences

    def _bring(self, path):
        if path not in self._copied or os.path.lexists(path) and _mark(path) != self._copied[path]:
            bring_below(self._folder, path, self._capio_dir)
        elif os.path.lexists(path):
            _unlink(path, self._copied[path])
        else:
            os.unlink(target(path, self._capio_dir, self._folder))      # a name that is gone by now isn't to stay there


def stays(path, folder, error):
    """The sentence about a file that couldn't be brought."""
    return f"{path} can't be brought to {folder}: {error.strerror or error}; it stays"


def target(path, capio_dir, folder):
    """The real place of a path below CAPIO_DIR."""
    return os.path.join(folder, os.path.relpath(path, capio_dir))


def bring_below(folder, path, capio_dir):
    """As `bring`, to the real place below a folder, which has to be there: one that isn't may be mounted later."""
    if os.path.lexists(path) and not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "it isn't a directory now")
    bring(path, target(path, capio_dir, folder))


def bring(path, to):
    """Move a file, a link or a directory that is empty; a name that isn't there is brought. What a killed server had begun to copy goes. OSError: it stays,
    also where somebody may still write it, and it would have to be copied."""
    if os.path.isdir(path) and not os.path.islink(path):
        os.makedirs(to, exist_ok=True)
        if not os.listdir(path):        # what else lies in it isn't permanent, or not of this run
            os.rmdir(path)
        return
    try:
        if os.path.exists(lies_at(path)) or os.path.islink(lies_at(path)):
            _move(path, to)
        elif os.path.lexists(path):
            os.unlink(path)         # of a file in a depot that is there already
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(_begun(to))


def settle(path):
    """Put a file that lies in a depot where its name is. OSError: it stays there."""
    if lies_at(path) != path:
        bring(path, path)


def _move(path, to):
    at = lies_at(path)
    _make(os.path.dirname(to))
    try:
        os.rename(at, to)               # who writes it goes on
    except OSError:                     # another file system
        mark = _mark(path)
        if mark is not None and endings.is_written(path):
            raise OSError(errno.EBUSY, "somebody writes it") from None
        _copy(path, to)
        try:
            _unlink(at if to == path else path, mark)
        except OSError:
            if to == path and (_mark(at) != mark or endings.is_written(at)):        # they have it since then, and what they write is to be found by its name
                os.symlink(at, _begun(to))
                os.replace(_begun(to), to)
            raise
        return
    if at != path != to:
        for lasting in (to, os.path.dirname(to)):
            sync_path(lasting)
        os.unlink(path)


def _unlink(path, mark):
    """Remove what was copied, unless there may be more of it."""
    if mark is not None:
        is_written = endings.is_written(path)
        if is_written or _mark(path) != mark:
            raise OSError(errno.EBUSY, "somebody writes it")
        if is_written is None:
            raise OSError(errno.EBUSY, "it is copied, but nobody can say whether somebody writes it")
    at = lies_at(path)
    if at != path:
        os.unlink(at)
    os.unlink(path)


def _begun(to):
    """The name of a copy that isn't whole."""
    return os.path.join(os.path.dirname(to), f".{os.path.basename(to)[:200]}.capio")


def _copy(path, to):
    """A whole copy takes the place of `to`, and lasts, or none."""
    _make(os.path.dirname(to))
    made = _begun(to)
    with suppress(FileNotFoundError):
        os.unlink(made)
    at = lies_at(path)
    mark = _mark(path)
    try:
        shutil.copy2(at, made, follow_symlinks=False)
        if not os.path.islink(made):
            sync_path(made)
        if to == path and (_mark(path) != mark or endings.is_written(at)):
            raise OSError(errno.EBUSY, "somebody writes it")
        os.replace(made, to)
        sync_path(os.path.dirname(to))
    finally:
        if os.path.lexists(made):
            os.unlink(made)


def _make(folder):
    """Make a folder that lasts, where it isn't there."""
    if not os.path.isdir(folder):
        above = os.path.dirname(folder)
        _make(above)
        with suppress(FileExistsError):
            os.mkdir(folder)
        sync_path(above)


def _mark(path):
    """What changes when a plain file does; None for anything else."""
    try:
        found = os.lstat(lies_at(path))
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_size, found.st_ctime_ns) if stat.S_ISREG(found.st_mode) else None
