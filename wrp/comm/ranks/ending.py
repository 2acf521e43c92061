"""How a process of a job ends by an error: the exit code, the sentence on stderr, and the end of the other ranks."""

import atexit
import sys
import traceback
from functools import partial

from wrp.comm.ranks.agreement import is_common
from wrp.comm.ranks.launcher import launcher
from wrp.comm.ranks.streams import discard, flush
from wrp.errors import WaitTimeout, WrpError

_INTERRUPTED, _TERMINATED = 130, 143
_current = []           # the world that ends with this process
_watched = []           # the hook that was there before `watch`


class Terminated(KeyboardInterrupt):
    """SIGTERM: what mpirun sends its ranks on Ctrl-C, and a batch system at the end of the time."""


def install(ranks):
    """From now on an uncaught exception of this process, or its end after a failed wait, ends every rank of the job. Local."""
    if not _current:
        atexit.register(_say_goodbye)
        sys.excepthook = partial(_end_job, sys.excepthook)
    _current[:] = [ranks]


def watch():
    """From now on an uncaught exception of this process ends the job also where MPI is up but the ranks haven't met. Local, idempotent."""
    found = launcher()
    if found is not None and found.size != 1 and not _watched:
        _watched.append(sys.excepthook)
        sys.excepthook = _end_early


def _end_early(kind, error, trace):
    _watched[0](kind, error, trace)
    mpi = sys.modules.get("mpi4py.MPI")
    if not _current and mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized() and mpi.COMM_WORLD.Get_size() > 1:
        flush()
        mpi.COMM_WORLD.Abort(exit_code(error))


def exit_code(error):
    """The exit code a command ends with after this error."""
    if isinstance(error, KeyboardInterrupt):
        return _TERMINATED if isinstance(error, Terminated) else _INTERRUPTED
    return getattr(error, "exit_code", 1) or 1


def _end_job(before, kind, error, trace):
    if is_common(error):
        before(kind, error, trace)      # the others end the same way by themselves
        return
    tell(error)
    abort(_current[0], exit_code(error))


def _say_goodbye():
    """Python ends: the end of MPI that follows waits for all ranks, without a deadline."""
    ranks = _current[0]
    if ranks.broken:
        ranks.abort(WaitTimeout.exit_code)
    if ranks.board is not None:
        ranks.board.leave()


def abort(ranks, code):
    """End all ranks after an error; those of this node see on the board why they get a SIGTERM."""
    if ranks.board is not None:
        ranks.board.leave()
    ranks.abort(code)


def tell(error):
    """One sentence for an error of ours, the traceback for any other."""
    if isinstance(error, WrpError):
        text = f"wrp: {error}\n"
    elif isinstance(error, KeyboardInterrupt):
        text = "wrp: interrupted\n"
    else:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        sys.stderr.write(text)
    except (AttributeError, OSError, ValueError):
        discard(sys.stderr)     # the exit code tells it, to whoever looks
    flush()
