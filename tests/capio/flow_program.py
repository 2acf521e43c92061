"""Runs one script of a Flow with plain file calls in the current folder: `python flow_program.py '[["open", "f", 1], ...]'`.

Prints one JSON line: for each read, stat and list what came of it. A call that fails ends the process with code 1, as most programs do.
"""

import json
import os
import signal
import sys


def run(script):
    """[(call, path, what it gave)]; the last call ends the process."""
    descriptors, told = {}, []
    for call, *arguments in script:
        try:
            if call in ("exit", "die"):
                return told, (call, *arguments)
            found = CALLS[call](descriptors, *arguments)
        except OSError as error:
            return [*told, [call, arguments[0], f"errno {error.errno}"]], ("exit", 1)
        if found is not None:
            told.append([call, arguments[0], found])
    return told, ("exit", 0)


def _open(descriptors, path, name):
    descriptors[name] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _write(descriptors, name, nbytes):
    os.write(descriptors[name], text_of(name, nbytes).encode())


def text_of(name, nbytes):
    """What is written through the descriptor of this name: no two descriptors write the same."""
    return (f"{name}:" * nbytes)[:nbytes]


def _mkdir(descriptors, path):
    os.makedirs(path, exist_ok=True)


def _read(descriptors, path):
    with open(path, "rb", buffering=0) as file:
        return b"".join(iter(lambda: file.read(7), b"")).decode()


CALLS = {"open": _open, "write": _write, "close": lambda descriptors, name: os.close(descriptors.pop(name)), "mkdir": _mkdir, "read": _read,
         "rename": lambda descriptors, source, path: os.rename(source, path),
         "stat": lambda descriptors, path: bool(os.stat(path)), "list": lambda descriptors, path: len(os.listdir(path))}


def main():
    told, (call, *code) = run(json.loads(sys.argv[1]))
    print(json.dumps(told), flush=True)
    if call == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(*code)


if __name__ == "__main__":
    main()
