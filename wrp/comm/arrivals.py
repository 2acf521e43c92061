"""Arrivals: ranges of bytes on their way to this process, each checked as soon as it is here. Starts none of them, and knows no MPI.

Whoever receives a long message from the same machine copies it, and the checksum takes a third of the time of that copy: two threads that take turns
have both done while one would still copy.
"""

import _thread
from collections import deque

from wrp.comm.digests import crc32_of
from wrp.errors import WrpError

_LEAST = 8 << 20                # bytes from which on a second thread is worth its start


def checked(arrivals):
    """The crc32 of each of `arrivals`: pairs of a function that returns once the bytes are here, without holding the GIL for long, and the buffer where they are then.

    Raises the first error of one of the functions; none is called or running any more then.
    """
    found, left, errors = [0] * len(arrivals), iter(range(len(arrivals))), []

    def work():
        try:
            for number in left:
                wait, out = arrivals[number]
                wait()
                found[number] = crc32_of(out)
        except BaseException as error:
            errors.append(error)
            deque(left, maxlen=0)           # the other thread finds nothing to begin with
    if len(arrivals) > 1 and sum(memoryview(out).nbytes for _, out in arrivals) >= _LEAST:
        _helped(work, errors)
    else:
        work()
    if errors:
        raise errors[0]
    return found


def _helped(work, errors):
    """`work()` in this thread and in another one, if there is a core for that before all is done. Both have returned then, or the other never begins.

    An error that a handler of a signal raises while the other one is waited for goes to `errors`: the bytes still come.
    """
    ended, is_done, tickets = _thread.allocate_lock(), [], [None]

    def help():
        try:
            tickets.pop()
        except IndexError:
            return
        try:
            work()
        finally:
            is_done.append(True)
            ended.release()
    ended.acquire()
    try:
        # Thread.start would wait until the other one runs, which takes longer than all the bytes where other programs have the cores
        try:
            _thread.start_new_thread(help, ())
        except WrpError:                        # of a signal's handler
            raise
        except RuntimeError:                    # this user may have no more threads
            pass
        work()
    finally:
        try:
            tickets.pop()
        except IndexError:
            while not is_done:
                try:
                    ended.acquire()
                except BaseException as error:
                    errors.append(error)
