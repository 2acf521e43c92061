"""Where files lie by a workflow's `storage`, in memory or on a file system, and the folder that permanent ones are brought to. Moves nothing."""

import os

from wrp.capio.language.plan import FILE_SYSTEM, MEMORY
from wrp.comm import names
from wrp.errors import UsageError

_IN_MEMORY = ("tmpfs", "ramfs")
_MOUNTS = "/proc/self/mountinfo"


def keep(given, directory):
    """The folder of --keep, resolved, or None; UsageError where it isn't one, or is where CAPIO_DIR is."""
    if not given:
        return None
    path = os.path.realpath(given)
    if not os.path.isdir(path):
        raise UsageError(f"--keep: {given} isn't a directory; make it first")
    if os.path.commonpath((path, directory)) in (path, directory):
        raise UsageError(f"--keep: {given} and CAPIO_DIR ({directory}) lie in each other; use another one")
    return path


def is_in_memory(directory):
    """True when the directory's file system is in memory."""
    device = os.stat(directory).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open(_MOUNTS, encoding="utf-8", errors="replace") as file:
        return any(line.split()[2] == wanted and line.rpartition(" - ")[2].split()[0] in _IN_MEMORY for line in file)


def decide(workflow, folder, is_all, is_shared=False, environ=os.environ):
    """(a Depot's arguments, or None where all files lie where CAPIO_DIR does, sentences about files that lie elsewhere than is asked for).

    folder : that of --keep; is_all : all are to lie in memory; is_shared : several nodes have one CAPIO_DIR
    """
    said = {rule.value: rule.where for rule in workflow.rules if rule.property == "storage"}
    all_in = "--mem-only" if is_all else "CAPIO_STORE_ONLY_MEMORY" if environ.get("CAPIO_STORE_ONLY_MEMORY") else ""
    if not is_in_memory(workflow.capio_dir):
        return _in_memory(workflow.capio_dir, all_in or said.get(MEMORY), bool(all_in), is_shared)
    found = []
    if FILE_SYSTEM in said and not all_in:
        if folder is not None:
            return dict(kind=FILE_SYSTEM, beside=folder), found
        found.append(f"{said[FILE_SYSTEM]} asks for a file system, but CAPIO_DIR ({workflow.capio_dir}) is in memory: all files lie there while the workflow runs, "
                     "unless --keep DIR names a folder that isn't")
    if folder is None and any(rule.property == "permanent" for rule in workflow.rules):
        found.append(f"permanent files stay in CAPIO_DIR ({workflow.capio_dir}), in memory: give --keep DIR, and they are brought there")
    return None, found


def _in_memory(directory, wants, is_all, is_shared):
    if not wants:
        return None, []
    why = "its nodes share it, and memory is one node's own" if is_shared else "" if is_in_memory(names.folder()) else f"{names.folder()} isn't in memory either"
    if why:
        return None, [f"{wants} asks for memory, but CAPIO_DIR ({directory}) isn't in memory, and {why}: all files lie there"]
    return dict(kind=MEMORY, is_all=is_all), []
