"""The reference's engine (py_capio_cl) in a process of its own, which it leaves threads in: a document in, what it says of each path out.

As a program: a JSON line {"document", "paths", "steps"} on standard input, a JSON line on standard output: null where the document is refused,
else {path: {getter: value}}.
"""

import json
import os
import subprocess
import sys
import tempfile


class Reference:
    """The process, as a context manager."""

    def __init__(self):
        self._child = subprocess.Popen([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, document, paths=(), steps=()):
        """{path: {getter: value}}, or None where the engine refuses the document."""
        self._child.stdin.write(json.dumps({"document": document, "paths": list(paths), "steps": list(steps)}) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, "the reference's engine has died"
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._child.stdin.close()
        self._child.stdout.close()
        self._child.kill()
        self._child.wait()


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)        # the engine tells what it does
    import py_capio_cl

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)                # it writes logs where it is
        for line in sys.stdin:
            asked = json.loads(line)
            path = os.path.join(folder, "w.json")
            with open(path, "w") as file:
                json.dump(asked["document"], file)
            try:
                engine = py_capio_cl.Parser.parse(py_capio_cl.CapioClConfiguration({"capiocl.config_path": path}))
                told = {name: facts(engine, name, asked["steps"]) for name in asked["paths"]}
            except Exception:           # of several kinds, not all of them named
                told = None
            answers.write(json.dumps(told) + "\n")
            answers.flush()


def facts(engine, path, steps):
    return {"commit": engine.getCommitRule(path), "closes": engine.getCommitCloseCount(path), "mode": engine.getFireRule(path),
            "deps": sorted(map(str, engine.getCommitOnFileDependencies(path))), "n_files": engine.getDirectoryFileCount(path),
            "permanent": engine.isPermanent(path), "excluded": engine.isExcluded(path), "in_memory": engine.isStoredInMemory(path),
            "is_directory": engine.isDirectory(path), "producers": [step for step in steps if engine.isProducer(path, step)],
            "consumers": [step for step in steps if engine.isConsumer(path, step)]}


if __name__ == "__main__":
    main()
