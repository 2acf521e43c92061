"""Whether files lie where a workflow's `storage` says, in memory or on a file system, and the folder that permanent ones are brought to. Moves nothing."""

import os

from wrp.capio.language.plan import FILE_SYSTEM, MEMORY
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


def notes(workflow, folder, is_all, environ=os.environ):
    """Sentences about files that don't lie where it says. `folder`: that of --keep; `is_all`: all are to lie in memory."""
    said = {rule.value: rule.where for rule in workflow.rules if rule.property == "storage"}
    wants = "--mem-only" if is_all else "CAPIO_STORE_ONLY_MEMORY" if environ.get("CAPIO_STORE_ONLY_MEMORY") else said.get(MEMORY)
    if not is_in_memory(workflow.capio_dir):
        return [f"{wants} asks for memory, but CAPIO_DIR ({workflow.capio_dir}) isn't in memory: all files lie there. Put it on tmpfs, e.g. below /dev/shm, and "
                "give --keep DIR for what is permanent"] if wants else []
    found = []
    if FILE_SYSTEM in said:
        found.append(f"{said[FILE_SYSTEM]} asks for a file system, but CAPIO_DIR ({workflow.capio_dir}) is in memory: all files lie there while the workflow runs")
    if folder is None and any(rule.property == "permanent" for rule in workflow.rules):
        found.append(f"permanent files stay in CAPIO_DIR ({workflow.capio_dir}), in memory: give --keep DIR, and they are brought there")
    return found
