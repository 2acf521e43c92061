"""How a process of a job ends: exit codes, the sentence on stderr, and the end of the other ranks."""

import atexit
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from functools import partial

from wrp.comm.ranks.agreement import is_common
from wrp.comm.ranks.launcher import launcher
from wrp.errors import WaitTimeout, WrpError

_INTERRUPTED, _TERMINATED = 130, 143
_GRACE_S = 2.0          # whoever interrupts one rank mostly interrupts all, and ends them soon
_current = []           # the world that ends with this process
_watched = []           # the hook that was there before `watch`


class Terminated(KeyboardInterrupt):
    """SIGTERM: what mpirun sends its ranks on Ctrl-C, and a batch system at the end of the time."""


def run(main):
    """Run `main(ranks)` of a command on the world and return the exit code of this process.

    Collective. `main` returns an exit code or None. An error common to all ranks is printed once, and every rank returns its code;
    an error of one rank is printed there and ends the job. SIGTERM meanwhile ends it like Ctrl-C, so that half-done work is let go.
    Parse arguments before: a usage message needs no MPI.
    """
    with _terminable():
        return _run(main)


def _run(main):
    from wrp.comm.ranks.job import world
    ranks = None
    try:
        ranks = world()
        code = main(ranks) or 0
        ranks.close()
        return code
    except SystemExit as leaving:
        return _leave(ranks, leaving)
    except BaseException as error:
        return _fail(ranks, error)


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


def flush():
    """Write out what print() still holds."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            discard(stream)     # closed, or its reader is gone: nobody is left to tell


def discard(stream):
    """What Python still holds for this stream goes nowhere: at its end it would try again, and end with code 120. Local."""
    try:
        target = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return                  # not a file
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, target)
    os.close(null)


@contextmanager
def _terminable():
    """SIGTERM raises Terminated in the block, once; a second one ends the process. Not where others have a say in SIGTERM."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated


def _end_job(before, kind, error, trace):
    if is_common(error):
        before(kind, error, trace)      # the others end the same way by themselves
        return
    _tell(error)
    _abort(_current[0], exit_code(error))


def _say_goodbye():
    """Python ends: the end of MPI that follows waits for all ranks, without a deadline."""
    ranks = _current[0]
    if ranks.broken:
        ranks.abort(WaitTimeout.exit_code)
    if ranks.board is not None:
        ranks.board.leave()


def _fail(ranks, error):
    code = exit_code(error)
    alone = ranks is not None and ranks.size > 1 and not is_common(error)
    if isinstance(error, KeyboardInterrupt):
        _say_interrupted(ranks)
        if alone:
            time.sleep(_GRACE_S)        # MPI's abort would cut the others off, and be wordy
            ranks.abort(code)
    elif ranks is None or alone or ranks.rank == 0:
        _tell(error)
    if alone:
        _abort(ranks, code)
    if ranks is not None:
        ranks.close()
    flush()
    return code


def _abort(ranks, code):
    """End all ranks after an error; those of this node see on the board why they get a SIGTERM."""
    if ranks.board is not None:
        ranks.board.leave()
    ranks.abort(code)


def _say_interrupted(ranks):
    """Once, by rank 0, also before the ranks have met; not when a rank that failed has told why the job ends."""
    if ranks is None:
        found = launcher()
        is_speaker = found is None or found.rank == 0
    else:
        board = getattr(ranks, "board", None)
        is_speaker = ranks.rank == 0 and (board is None or not board.has_ended())
    if is_speaker:
        _tell(KeyboardInterrupt())


def _leave(ranks, leaving):
    """SystemExit of one rank (as argparse raises it): the others can't be waited for unless all leave."""
    code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    if isinstance(leaving.code, str):
        print(leaving.code, file=sys.stderr)
    if ranks is not None and ranks.size > 1 and code != 0:
        ranks.abort(code)
    if ranks is not None:
        ranks.close()
    return code


def _tell(error):
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
