"""Plays a random Flow with real processes, kills some of them where asked, and holds what came of it against the scripts."""

import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from capio.flow_program import text_of
from capio.served import Flow, killed
from wrp.capio.client import Client
from wrp.errors import RuntimeGone

BOUND_S = 20.0          # after the last kill, or the start, every process of a flow has ended, whatever happened
_PROGRAM = str(Path(__file__).with_name("flow_program.py"))
_STALE = "of an earlier run"


class Play:
    """One flow, run once. `kills`: how many random processes die at random moments within `within_s`; the server is one of them when `server` is
    true. `via`: how their calls are seen. `told`: [(step, script, [(call, path, found)], code)] of the processes that lived to tell."""

    def __init__(self, folder, flow, kills=0, server=False, within_s=1.0, via="shim"):
        self.flow, self.dice, self.folder, self.via = flow, random.Random(flow.seed + 1), folder, via
        (folder / "data").mkdir(parents=True)
        for path in flow.stale:
            (folder / "data" / path).write_text(_STALE)
        self.served = Flow(folder, dict(flow.document, name=f"play-{flow.seed}"))
        self.processes, self.launchers = [], []
        try:
            self._start()
            self._kill(kills, server, within_s)
            with ThreadPoolExecutor(len(self.processes)) as threads:       # a launcher tells of its process's end as soon as there is one
                self.told = list(threads.map(self._ended, self.processes))
            self.final = self._files()
        finally:
            for launcher in self.launchers:
                launcher.close()
            self.served.end()
        self.left = self._files()

    def _start(self):
        """Every step is launched before its first process runs: none is over too early."""
        for step, scripts in self.flow.scripts.items():
            for script in scripts:
                launcher = None if self.via == "seccomp" else Client(self.served.name)          # capio run begins the step itself
                if launcher is not None:
                    self.launchers.append(launcher)
                    launcher.control("start", step=step)
                self.processes.append([step, script, None, launcher])
        for row in self.dice.sample(self.processes, len(self.processes)):
            command = f"cd $CAPIO_DIR && exec {sys.executable} {_PROGRAM} '{json.dumps(row[1])}'"
            row[2] = self.served.launch(row[0], command, self.via) if self.via == "seccomp" else \
                self.served.start(row[0], command, self.via, CAPIO_SERVER_WAIT_S="5")

    def _kill(self, kills, server, within_s):
        for moment in sorted(self.dice.uniform(0, within_s) for _ in range(kills)):
            time.sleep(moment / max(kills, 1))
            self.dice.choice(self.processes)[2].kill()
        if server:
            time.sleep(self.dice.uniform(0, within_s))
            self.served.kill_server()
        self.deadline = time.monotonic() + BOUND_S

    def _ended(self, row):
        """(step, script, [(call, path, found)], exit code) once the process has ended, which the launcher then tells."""
        step, script, process, launcher = row
        try:
            out, said = process.communicate(timeout=max(0.1, self.deadline - time.monotonic()))
        except Exception:
            killed(process)
            raise AssertionError(f"seed {self.flow.seed}: a process hangs: {process.args[-1]}\n{self.served.log()}") from None
        code = process.returncode
        if launcher is not None:
            with suppress(RuntimeGone):
                launcher.control("stop", code=code if code >= 0 else None, signal=-code if code < 0 else None)
        assert b"Traceback" not in said, said.decode()
        return step, script, json.loads(out or b"[]"), code

    def _files(self):
        data = self.served.dir
        return {str(path.relative_to(data)): path.read_text() for path in data.rglob("*") if path.is_file()}

    def failures(self):
        """Processes that failed, but for want of a file of their own step, which nobody is made to wait for."""
        return [row for row in self.told if row[3] and not (row[2] and row[2][-1][2] == "errno 2" and self._is_own(row[0], row[2][-1][1]))]

    def _is_own(self, step, path):
        spec = self.flow.spec(path)
        return spec is not None and step in spec.producers

    # what must hold

    def check(self):
        """AssertionError where a reader saw what it mustn't. Returns the number of readings that were compared."""
        compared = 0
        for step, _, told, _ in self.told:
            for call, path, found in told:
                spec = self.flow.spec(path)
                if spec is None or step in spec.producers or step not in spec.consumers or str(found).startswith("errno"):
                    continue
                compared += self._check_one(call, path, found, spec)
        return compared

    def _check_one(self, call, path, found, spec):
        if call == "list":
            assert spec.commit != "on_n_files" or found >= spec.n_files, (self.flow.seed, path, found)
        if call != "read":
            return 0
        whole = self._whole(path)
        if whole is not None and spec.commit in ("on_close", "on_termination"):
            assert found == whole, (self.flow.seed, path, found, whole)
        elif whole is not None:
            assert whole.startswith(found), (self.flow.seed, path, found, whole)
        elif path in self.final and not self._is_renamed(path):
            assert self.final[path].startswith(found), (self.flow.seed, path, found, self.final[path])
        return 1

    def _whole(self, path):
        """All that the only process writing the path writes into it; None where there are several."""
        found = [files[path] for files in map(self._alone, self._scripts()) if path in files]
        return found[0] if len(found) == 1 else None

    def _alone(self, script):
        """The files that a script leaves where nobody else is."""
        files, names = {}, {}
        for call, *arguments in script:
            if call == "open":
                files.setdefault(arguments[0], _STALE if arguments[0] in self.flow.stale else "")
                names[arguments[1]] = arguments[0]
            elif call == "write":
                files[names[arguments[0]]] += text_of(*arguments)
            elif call == "rename":
                files[arguments[1]] = files.pop(arguments[0])
        return files

    def _is_renamed(self, path):
        return any(call[0] == "rename" and call[2] == path for script in self._scripts() for call in script)

    def _scripts(self):
        return [script for scripts in self.flow.scripts.values() for script in scripts]


def leftovers(play):
    """Declared files that are still there after the end, beside those of an earlier run."""
    return {path for path in play.left if play.flow.spec(path) is not None and path not in play.flow.stale}

