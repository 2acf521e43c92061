"""How a process of a job ends: exit codes, the sentence on stderr, and the end of the other ranks."""

import atexit
import sys
import traceback
from functools import partial

from wrp.comm.ranks.agreement import is_common
from wrp.errors import WaitTimeout, WrpError

_INTERRUPTED = 130
_current = []           # the world that ends with this process


def run(main):
    """Run `main(ranks)` of a command on the world and return the exit code of this process.

    Collective. `main` returns an exit code or None. An error common to all ranks is printed once, and every rank returns its code;
    an error of one rank is printed there and ends the job. Parse arguments before: a usage message needs no MPI.
    """
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


def exit_code(error):
    """The exit code a command ends with after this error."""
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    return getattr(error, "exit_code", 1) or 1


def flush():
    """Write out what print() still holds."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue        # closed, or its reader is gone: nobody is left to tell


def _end_job(before, kind, error, trace):
    if is_common(error):
        before(kind, error, trace)      # the others end the same way by themselves
        return
    _tell(error)
    _current[0].abort(exit_code(error))


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
    if ranks is None or alone or ranks.rank == 0:
        _tell(error)
    if alone:
        ranks.abort(code)
    if ranks is not None:
        ranks.close()
    flush()
    return code


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
        sys.stderr.write(f"wrp: {error}\n")
    elif isinstance(error, KeyboardInterrupt):
        sys.stderr.write("wrp: interrupted\n")
    else:
        sys.stderr.write("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    flush()
