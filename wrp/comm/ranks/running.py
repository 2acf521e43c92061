"""Runs the main of a command on the ranks of its job, and ends them together whatever it comes to."""

import signal
import sys
import threading
import time
from contextlib import contextmanager

from wrp.comm.ranks.agreement import is_common
from wrp.comm.ranks.ending import Terminated, abort, exit_code, tell
from wrp.comm.ranks.job import speaks, world
from wrp.comm.ranks.streams import flush

_GRACE_S = 2.0          # whoever interrupts one rank mostly interrupts all, and ends them soon


def run(main):
    """Run `main(ranks)` of a command on the world and return the exit code of this process.

    Collective. `main` returns an exit code or None. An error common to all ranks is printed once, and every rank returns its code;
    an error of one rank is printed there and ends the job. SIGTERM meanwhile ends it like Ctrl-C, so that half-done work is let go.
    Parse arguments before: a usage message needs no MPI.
    """
    with _terminable():
        return _run(main)


def _run(main):
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


def refuse(error):
    """The exit code of a command that ends with this error on every rank, before they have met: rank 0 tells it. Local."""
    if speaks():
        tell(error)
    else:
        time.sleep(_GRACE_S)            # mpirun ends the others, rank 0 too, once one has ended with an error
    return exit_code(error)


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


def _fail(ranks, error):
    code = exit_code(error)
    alone = ranks is not None and ranks.size > 1 and not is_common(error)
    if isinstance(error, KeyboardInterrupt):
        _say_interrupted(ranks)
        if alone:
            time.sleep(_GRACE_S)        # MPI's abort would cut the others off, and be wordy
            ranks.abort(code)
    elif not is_common(error) or speaks():
        tell(error)
    if alone:
        abort(ranks, code)
    if ranks is not None:
        ranks.close()
    flush()
    return code


def _say_interrupted(ranks):
    """Once, by rank 0, also before the ranks have met; not when a rank that failed has told why the job ends."""
    board = getattr(ranks, "board", None)
    if speaks() and (board is None or not board.has_ended()):
        tell(KeyboardInterrupt())


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
