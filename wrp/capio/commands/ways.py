"""The ways in which a program's calls are seen, and what each puts into its environment."""

from pathlib import Path

from wrp.capio import inprocess, shim

WAYS = ("shim", "python", "seccomp")


def environment(env, via):
    """The environment `env` with what the way needs: "shim": the library; "python": a folder of Python's path; "seccomp", None: nothing."""
    if via == "shim":
        return env | {"LD_PRELOAD": _before(str(shim.path()), env.get("LD_PRELOAD"))}
    if via == "python":
        return env | {"PYTHONPATH": _before(str(Path(inprocess.__file__).parent / "site"), env.get("PYTHONPATH"))}
    return env


def _before(first, others):
    return f"{first}:{others}" if others else first
