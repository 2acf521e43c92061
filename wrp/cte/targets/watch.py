"""Watch: a thread of each rank that looks now and then whether the files of its targets answer, and how fast they have been. What follows is for Tiers to do."""

import logging
import os
import threading
import time
import weakref

from wrp.cte.background import Background

_log = logging.getLogger("wrp.cte")


class Watch:
    """tiers : with `files`, `lose`, `regain` and `adjust`; the thread doesn't keep them, and ends when nobody else does

    look_s, timeout_s : between looks, and after which a file that hasn't answered one counts as lost; sample_s : between samples of bandwidths; end_s : for `stop`
    """

    @staticmethod
    def of(parts):
        """The one of a store as it is configured, started where a file could be lost."""
        get = parts.config.get
        made = Watch(parts.tiers, get("targets.poll_period_ms") / 1000, get("targets.default_target_timeout_ms") / 1000,
                     get("performance.target_stat_interval_ms") / 1000, get("runtime.timeout_s"))
        if parts.write:
            made.start()
        return made

    def __init__(self, tiers, look_s, timeout_s, sample_s, end_s):
        self._tiers = weakref.ref(tiers)
        self._look_s, self._timeout_s, self._sample_s, self._end_s = look_s, timeout_s, sample_s, end_s
        self._thread, self._asked = None, {}        # by number: the look that it hasn't answered

    def start(self):
        """Begin, if there is a file and it hasn't begun."""
        if self._thread is None and self._tiers().files():
            self._thread = Background("wrp-watch")
            self._thread.start(self._run)

    def stop(self):
        """End the thread. Idempotent. A file that doesn't answer keeps nobody. WaitTimeout: see Background.stop."""
        if self._thread is not None:
            self._thread.stop(self._end_s)
        until = time.monotonic() + 0.1
        for look in self._asked.values():
            look.thread.join(max(0.0, until - time.monotonic()))

    def _run(self):
        look = sample = time.monotonic()
        while self._thread.naps(max(0.0, min(look + self._look_s, sample + self._sample_s) - time.monotonic())):
            if self._tiers() is None:
                return
            if time.monotonic() >= look + self._look_s:
                self._do(self.look)
                look = time.monotonic()
            if time.monotonic() >= sample + self._sample_s:
                self._do(lambda: self._with_tiers("adjust"))
                sample = time.monotonic()

    def _do(self, work):
        try:
            work()
        except Exception:
            _log.exception("the files of the targets can't be watched this time")

    def _with_tiers(self, call, *args):
        """What a call of the tiers gives, None once they are gone. Nothing keeps them after it."""
        tiers = self._tiers()
        return getattr(tiers, call)(*args) if tiers is not None else None

    def look(self):
        """Ask every file, all at once; wait for their answers as long as they may take."""
        files = self._with_tiers("files") or {}
        for number in [number for number in self._asked if number not in files]:
            del self._asked[number]
        for number, (descriptor, path) in files.items():
            if number not in self._asked:
                self._asked[number] = _Look(descriptor, path)
        end = time.monotonic() + self._timeout_s
        for number, look in list(self._asked.items()):
            while not look.is_answered.wait(max(0.0, min(0.1, end - time.monotonic()))) and time.monotonic() < end and not self._thread_ends:
                pass
            self._tell(number, look)

    @property
    def _thread_ends(self):
        return self._thread is not None and self._thread.is_stopped

    def _tell(self, number, look):
        if look.is_answered.is_set():
            del self._asked[number]
            self._with_tiers("lose", number, look.trouble) if look.trouble else self._with_tiers("regain", number)
        elif not self._thread_ends:
            self._with_tiers("lose", number, f"it hasn't answered for {self._timeout_s:g} s (targets.default_target_timeout_ms)")


class _Look:
    """One look at a file, in a thread of its own: what a file system that is gone does to it, it does to nobody else.

    path : under which the file has to be, None: it has no name
    """

    def __init__(self, descriptor, path):
        self.is_answered, self.trouble = threading.Event(), ""
        self.thread = threading.Thread(target=self._ask, args=(descriptor, path), name="wrp-look", daemon=True)
        self.thread.start()

    def _ask(self, descriptor, path):
        try:
            self.trouble = trouble_of(descriptor, path)
        except OSError as error:
            self.trouble = f"it can't be looked at: {error.strerror}"
        self.is_answered.set()


def trouble_of(descriptor, path):
    """Why an open file can't take bytes that are to be found again, or "". Raises OSError."""
    if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
        return "its file system is mounted read-only"
    if path is not None:
        try:
            there = os.path.samestat(os.stat(path), os.fstat(descriptor))
        except FileNotFoundError:
            there = False
        if not there:
            return f"its file {path} was removed or replaced"
    return ""
