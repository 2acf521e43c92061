"""Whether the servers of several nodes have one CAPIO_DIR, on a file system that they share: tried with folders of their own making, which go again."""

import os
import secrets
from contextlib import suppress

from wrp.capio.server.watch import Watch
from wrp.errors import UsageError

_PREFIX = ".capio-probe-"


def is_shared(ranks, directory):
    """True when all nodes have the directory in common, False when each has its own. Collective; the same UsageError on all where only some have it in common,
    or where the kernel tells several servers of one change, as it does on one machine."""
    own = f"{_PREFIX}{ranks.rank}-{secrets.token_hex(8)}"
    try:
        names = ranks.gather_of(lambda: _made(directory, own), "folders that show whether CAPIO_DIR is shared")
        seen = [name for name in names if os.path.isdir(os.path.join(directory, name))]
        all_seen = ranks.gather(seen, "what each server sees of them")
        shared = [len(found) == len(names) for found in all_seen]
        if any(len(found) > 1 for found in all_seen) and not all(shared):
            raise UsageError("some of the servers have one CAPIO_DIR in common and others don't: give each node its own, or all the same")
        if all(shared) and ranks.size > 1:
            _refuse_one_kernel(ranks, os.path.join(directory, names[0]))
        return all(shared)
    finally:
        ranks.barrier("folders that show whether CAPIO_DIR is shared")
        with suppress(FileNotFoundError):
            os.rmdir(os.path.join(directory, own))


def _made(directory, name):
    try:
        os.mkdir(os.path.join(directory, name))
    except OSError as error:
        raise UsageError(f"CAPIO_DIR: nothing can be made in {directory}: {error.strerror}") from error
    return name


def _refuse_one_kernel(ranks, folder):
    watch, probe = Watch(folder), os.path.join(folder, "probe")
    try:
        ranks.barrier("watches of a shared CAPIO_DIR")
        if ranks.rank == 0:
            os.close(os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600))
        ranks.barrier("a change of a shared CAPIO_DIR")
        heard = ranks.gather(bool(watch.read()), "who is told of a change of a shared CAPIO_DIR")
    finally:
        watch.close()
        if ranks.rank == 0:
            os.unlink(probe)
    if sum(heard) > 1:
        raise UsageError(f"the servers of ranks {', '.join(str(rank) for rank, has in enumerate(heard) if has)} run on one machine and have one CAPIO_DIR in common: "
                         "give each its own, or start one server there")
