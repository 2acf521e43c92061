"""Processes that are cheap to make and to kill: forked from one that has everything loaded and runs no thread."""

import os
import select
import signal
import sys
import time
import traceback

_LOST, _FAILED = 3, 4
DEADLINE_S = 60.0


class Child:
    """A fork that runs `work(tell)`; `tell(text)` writes a line that survives its death. Not before it, in the parent: threads."""

    def __init__(self, work):
        self._read, write = os.pipe()
        sys.stdout.flush(), sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._read)
            self._be(work, write)
        os.close(write)

    @staticmethod
    def _be(work, write):
        code = _FAILED
        raw = os.write                  # a test may wrap it
        try:
            work(lambda text: raw(write, text.encode() + b"\n"))
            code = 0
        except BaseException:
            raw(write, ("error " + traceback.format_exc().replace("\n", "\r")).encode() + b"\n")
        finally:
            os._exit(code)

    def spoken(self):
        """Return when it has told its first line, or has ended."""
        select.select([self._read], [], [], DEADLINE_S)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def ended(self):
        """(exit code, -9 when it was killed; lines that it told). AssertionError when it hangs."""
        lines, limit = bytearray(), time.monotonic() + DEADLINE_S
        os.set_blocking(self._read, False)
        while True:
            try:
                part = os.read(self._read, 1 << 16)
                if not part:
                    break
                lines += part
            except BlockingIOError:
                if time.monotonic() > limit:
                    self.kill()
                    os.waitpid(self.pid, 0)
                    raise AssertionError(f"a process of the proof did not end within {DEADLINE_S:g} s; it told: {lines[-300:]!r}") from None
                time.sleep(0.002)
        os.close(self._read)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        told = lines.decode().split("\n")[:-1]
        return code, told


def succeeded(work):
    """What a child told; AssertionError with its traceback when it failed."""
    code, told = Child(work).ended()
    assert code == 0, f"ended with {code}: " + (told[-1].replace("\r", "\n") if told else "")
    return told
