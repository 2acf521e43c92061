"""What the module chimaera_runtime_ext gives: the reference's Python binding of the runtime, name by name, over a daemon or a runtime of this process."""

import atexit
import os
import sys
from enum import Enum, IntEnum

from wrp.comm.ranks import world
from wrp.errors import UsageError, WrpError
from wrp.runtime.config import load
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View
from wrp.runtime.monitor import Monitoring
from wrp.runtime.routing.query import PoolQuery
from wrp.runtime.runtime import Runtime

_WRONG = 2                      # return code of a query that there isn't
_MIN_WAIT_S = 0.001
_open = []                      # of this process, at most one: an Attached or a Runtime


class ChimaeraMode(IntEnum):
    kClient = 0
    kServer = 1
    kRuntime = 2
    __str__ = Enum.__str__


def chimaera_init(mode):
    """True when this process can ask; False, with one sentence on standard error, when there is nobody to ask.

    mode : kClient (0) attaches to the daemon of this node (WRP_RUNTIME_NAME; waits CHI_WAIT_SERVER seconds); kServer (1) and kRuntime (2), or
        CHI_WITH_RUNTIME=1, make a runtime of the ranks of this job, collective
    A second call changes nothing.
    """
    mode = ChimaeraMode(mode)
    if _open:
        return True
    try:
        embedded = mode != ChimaeraMode.kClient or os.environ.get("CHI_WITH_RUNTIME", "").lower() in ("1", "true")
        opened = Runtime(world(), load()) if embedded else attach()
        try:
            opened.pool("monitor", "monitor")           # collective, so not when somebody asks
        except BaseException:
            opened.close()
            raise
    except WrpError as error:
        print(f"wrp: {error}", file=sys.stderr, flush=True)
        return False
    _open.append(opened)
    return True


def chimaera_finalize():
    """Leave the daemon, or end the runtime of this process (collective). Idempotent; done by itself when Python ends."""
    if _open:
        _open.pop().close()


@atexit.register
def _at_end():
    try:
        chimaera_finalize()
    except WrpError as error:           # Python would add where it came from
        print(f"wrp: {error}", file=sys.stderr, flush=True)


def async_monitor(pool_query, query):
    """Ask the nodes that `pool_query` says ("local", "broadcast", "physical:1", …) how they are: a MonitorTask. For the queries see docs/daemon.md.

    Raises UsageError before chimaera_init, and for a route that there isn't.
    """
    opened = _opened()
    PoolQuery.parse(pool_query)
    try:
        return MonitorTask(Monitoring(opened.pool("monitor", "monitor")).start(query, pool_query))
    except UsageError as error:
        print(f"wrp: {error}", file=sys.stderr, flush=True)
        return MonitorTask(None)


def stop_runtime(pool_query, grace_period_ms=5000):
    """Stop the daemon that this process is attached to, on all its nodes whatever `pool_query` says, or end the runtime of this process (collective).

    Tasks in its queues are done first. Raises WrpError when it hasn't ended within the grace period: it ends a little later.
    """
    PoolQuery.parse(pool_query)
    opened = _opened()
    if isinstance(opened, Runtime):
        chimaera_finalize()
        return
    name = opened.name
    chimaera_finalize()
    with View(name) as view:
        if not view.stop(grace_period_ms / 1000):
            raise WrpError(f"the daemon {name!r} (process {view.about.pid}) was told to stop and hasn't ended within {grace_period_ms} ms: see its messages")


class MonitorTask:
    """Answers that are on their way."""

    def __init__(self, asked):
        self._asked = asked

    def wait(self, max_sec=0.0):
        """{container: msgpack bytes}, after at most `max_sec` seconds (0: runtime.timeout_s), then WaitTimeout. Containers that can't say are left out."""
        if self._asked is None:
            return {}
        return self._asked.gather(max(max_sec, _MIN_WAIT_S) if max_sec else None)

    def is_complete(self):
        """True when a wait would end at once, but for the way of the bytes."""
        return self._asked is None or self._asked.is_complete

    def get_return_code(self):
        """0; after the wait that of a container that couldn't say (-1000: its node is silent); 2 for a query that there isn't."""
        return _WRONG if self._asked is None else self._asked.code


def _opened():
    if not _open:
        raise UsageError("chimaera_init wasn't called, or said False: call it first")
    return _open[0]
