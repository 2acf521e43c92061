"""What commands read from the environment and share in their options: CAPIO_DIR, the workflow's file, variables of the reference without meaning here."""

import os
import sys

from wrp.capio import language
from wrp.capio.server.place import DEFAULT_WORKFLOW
from wrp.errors import UsageError

TRANSPORTS = ("auto", "tcp", "mpi")
WITHOUT_MEANING = {
    "CAPIO_CACHE_LINES": "bytes go through the page cache, there are no lines",
    "CAPIO_CACHE_LINE_SIZE": "bytes go through the page cache, there are no lines",
    "CAPIO_POSIX_CACHE_LINE_SIZE": "bytes go through the page cache, there are no lines",
    "CAPIO_WRITER_CACHE_SIZE": "bytes go through the page cache, there are no lines",
    "CAPIO_FILE_INIT_SIZE": "files have the size that is written",
    "CAPIO_PREFETCH_DATA_SIZE": "the kernel reads ahead",
    "CAPIO_LOG_LEVEL": "ask capio status",
    "CAPIO_LOG_DIR": "ask capio status",
    "CAPIO_LOG_PREFIX": "ask capio status",
    "CAPIO_SERVER_PATH": "it was for the reference's tests",
    "CONFIG_PATH": "it was for the reference's tests",
    "CAPIO_METADATA_DIR": "nothing is kept beside the files",
    "CAPIO_IGNORE_CHILD_THREADS": "threads of a process are one process here",
}


def say(sentence):
    print(f"capio: {sentence}", file=sys.stderr, flush=True)


def say_what_has_no_meaning(environ=os.environ):
    """One line for each variable of the reference that is set and changes nothing here."""
    for name, reason in WITHOUT_MEANING.items():
        if environ.get(name) and name.startswith("CAPIO_"):
            say(f"{name} has no meaning here: {reason}")


def capio_dir(given=None):
    """The directory of the workflow's files, resolved; UsageError where it isn't named, isn't one or is too much."""
    path = given or os.environ.get("CAPIO_DIR")
    if not path:
        raise UsageError("CAPIO_DIR isn't set: set it, or give --dir, to the directory that the workflow's files lie in")
    if not os.path.isdir(path):
        raise UsageError(f"CAPIO_DIR: {path} isn't a directory; make it first")
    path = os.path.realpath(path)
    if path == "/" or path.split("/")[1] in ("proc", "sys"):
        raise UsageError(f"CAPIO_DIR: {path} can't be the directory of a workflow; use one of its own")
    return path


def silent_s(environ=os.environ):
    """Seconds without a sign of life after which a node counts as dead (CAPIO_SILENT_S)."""
    try:
        return float(environ.get("CAPIO_SILENT_S") or 15)
    except ValueError:
        raise UsageError(f"CAPIO_SILENT_S: {environ['CAPIO_SILENT_S']} isn't a number of seconds") from None


def transport(environ=os.environ):
    """How the bytes of files go from node to node (CAPIO_TRANSPORT)."""
    found = environ.get("CAPIO_TRANSPORT") or "auto"
    if found not in TRANSPORTS:
        raise UsageError(f"CAPIO_TRANSPORT: {found} isn't one of {', '.join(TRANSPORTS)}")
    return found


def workflow_of(config, directory, prefix=None, name=None):
    """The Workflow of a file, or one without rules when `config` is None."""
    if config is None:
        return language.empty(name or os.environ.get("CAPIO_WORKFLOW_NAME") or DEFAULT_WORKFLOW, directory)
    return language.load(config, directory, prefix)
