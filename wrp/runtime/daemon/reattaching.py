"""Reattaching: a process's hold on the daemons of one name, one after the other. When one has gone, the next call waits for the next one.

What is known to have reached no worker is handed over again, once; what may have run only where the caller says that it may run twice.
"""

import os
import time

from wrp.comm import atomics
from wrp.comm.turn import Turn
from wrp.errors import RuntimeGone, StoreError, UsageError, WaitTimeout
from wrp.runtime import lanes, tasks
from wrp.runtime.daemon import processes
from wrp.runtime.daemon.attached import Attached
from wrp.runtime.future import Watch
from wrp.runtime.group import Group
from wrp.runtime.routing.query import PoolQuery


def attach(name=None, timeout_s=None, config=None, reconnect_s=None):
    """The Attached to the daemon `name` (WRP_RUNTIME_NAME, else wrp-USER-runtime) of this node. Local; a context manager.

    timeout_s : how long to wait until the daemon is there and ready; CHI_WAIT_SERVER, else 30; 0: not at all, -1: for ever
    config : a Config (its runtime.timeout_s and runtime.first_busy_wait are used); the environment's by default
    reconnect_s : when the daemon has gone, how long a later call waits for another one of its name; CHI_CLIENT_RETRY_TIMEOUT, else 0: not at all. With more
        than 0 what comes is a Reattaching
    Raises StoreError when there is no daemon, StoreVersion when it is of another version, WaitTimeout when it has no room.
    """
    limit_s = _limit_s(reconnect_s)
    return Reattaching(name, timeout_s, config, limit_s) if limit_s > 0 else Attached(name, timeout_s, config)


def _limit_s(given):
    if given is not None:
        return given
    text = os.environ.get("CHI_CLIENT_RETRY_TIMEOUT") or "0"
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"CHI_CLIENT_RETRY_TIMEOUT is {text!r}: give seconds, 0 for not attaching again") from None


class Reattaching:
    """As an Attached, over more than one daemon. Any thread may use it.

    Attributes: name, number and count (of nodes), timeout_s; attached, the Attached of now. One that has gone is let go with the last task of it.
    """

    def __init__(self, name, timeout_s, config, limit_s):
        self.now = Attached(name, timeout_s, config), {}        # and its pools, by name
        self.name, self.timeout_s, self._config, self._limit_s = self.attached.name, self.attached.timeout_s, config, limit_s
        self._turn, self._failed_at = Turn(), 0.0

    @property
    def attached(self):
        return self.now[0]

    @property
    def number(self):
        return self.attached.number

    @property
    def count(self):
        return self.attached.count

    def pool(self, name, module=None, **params):
        """As `Attached.pool`: a SteadyPool, found by its name with every daemon; with a module made by every one that hasn't got it."""
        found = SteadyPool(self, name, module, params)
        self.retried(lambda: found.found)           # raises what is wrong with it
        return found

    def has_pool(self, name):
        """As `Attached.has_pool`."""
        return self.retried(lambda: self._living().has_pool(name))

    def keep(self, name, module, **params):
        """As `Attached.keep`."""
        self.retried(lambda: self._living().keep(name, module, **params))

    def remove(self, *names):
        """As `Attached.remove`, of the daemon of now."""
        self._living().remove(*names)

    def device(self, name):
        """As `Attached.device`. It is the daemon's of now: when that one goes, so do its leases; ask for the device again then."""
        return self.retried(lambda: self._living().device(name))

    def monitor(self, query, pool_query="local", timeout_s=None):
        """As `Attached.monitor`."""
        return self.retried(lambda: self._living().monitor(query, pool_query, timeout_s))

    def retried(self, work):
        """What `work` gives, with the next daemon when this one has gone. It changes nothing, or may be done twice."""
        while True:
            seen = self.attached
            try:
                return work()
            except RuntimeGone as error:
                self.again(seen, error)

    def again(self, gone, error):
        """Attach to the next daemon, unless another thread has done so since `gone`. Raises RuntimeGone when there is none in time."""
        began = time.monotonic()
        with self._turn.of("the way to the next daemon"):
            if self.attached is not gone:
                return
            if not gone.is_open or self._failed_at > began:
                raise error
            try:
                self.now = Attached(self.name, self._limit_s, self._config), {}
            except (StoreError, WaitTimeout) as late:
                self._failed_at = time.monotonic()
                raise RuntimeGone(f"{error}; waited {self._limit_s:g} s for another daemon of this name: {late}") from error
            gone.forget()

    def _living(self):
        self.attached.check_open()
        self.attached.check_alive()
        return self.attached

    def check_open(self):
        """As `Attached.check_open`."""
        self.attached.check_open()

    def close(self):
        """As `Attached.close`."""
        with self._turn:
            self.attached.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SteadyPool:
    """A pool by its name. Methods that hand over tasks take `resend`: True: a task that may have run is handed to the next daemon too, so that it is
    done at least once. False: it ends with RuntimeGone."""

    def __init__(self, node, name, module, params):
        self._node, self.name, self._module, self._params = node, name, module, params

    @property
    def found(self):
        """(the Attached of now, its AttachedPool)."""
        attached, known = self._node.now
        pool = known.get(self.name)
        if pool is None:
            pool = known[self.name] = attached.pool(self.name, self._module, **self._params)
        return attached, pool

    @property
    def id(self):
        return self.found[1].id

    @property
    def containers(self):
        return self.found[1].containers

    def call(self, method, *args, timeout_s=None, query=None, resend=False):
        """As `Pool.call`."""
        return self.submit(method, *args, timeout_s=timeout_s, query=query, resend=resend).wait(timeout_s)

    def call_each(self, method, *args, query="broadcast", timeout_s=None, resend=False):
        """As `Pool.call_each`."""
        first, count = PoolQuery.parse(query).resolved(self.containers, self._node.number, self._node.count)
        futures = [self.submit(method, *args, query=PoolQuery.direct_id(container, PoolQuery.parse(query).net_timeout_s), timeout_s=timeout_s, resend=resend)
                   for container in range(first, first + count)]
        return [future.wait(timeout_s) for future in futures]

    def submit(self, method, *args, resend=False, **options):
        """As `Pool.submit`: a SteadyFuture."""
        def hand():
            attached, pool = self.found
            return attached, pool.submit(method, *args, **options)
        return SteadyFuture(self._node, hand, resend)

    def submit_many(self, method, rows, timeout_s=None, query=None, resend=False):
        """As `Pool.submit_many`: a list of SteadyFutures."""
        return [self.submit(method, *row, timeout_s=timeout_s, query=query, resend=resend) for row in rows]

    def migrate(self, container, node, drain_s=10.0, timeout_s=None):
        """As `Pool.migrate`, with the daemon of now."""
        self.found[1].migrate(container, node, drain_s, timeout_s)

    def post(self, method, *args, **options):
        """As `Pool.post`: it may be lost with the daemon."""
        self._node.retried(lambda: self.found[1].post(method, *args, **options))

    def group(self):
        """As `Pool.group`."""
        return Group(self)

    def __repr__(self):
        return f"<SteadyPool {self.name!r}>"


class SteadyFuture:
    """As a Future. `hand()` hands the task over: (the Attached it goes to, its Future)."""

    def __init__(self, node, hand, resend):
        self._node, self._hand, self._resend = node, hand, resend
        self._handed()

    def _handed(self):
        # a submission that raises has handed nothing over
        self._attached, self._future = self._node.retried(self._hand)

    def wait(self, timeout_s=None):
        """As `Future.wait`. RuntimeGone when the task may have run and wasn't to be handed over twice, or no other daemon came."""
        timeout_s = self._node.timeout_s if timeout_s is None else timeout_s
        watch = Watch(timeout_s)
        while True:
            offset = self.offset
            try:
                return self._future.wait(watch.left_s)
            except RuntimeGone as error:
                if not self._resend and not never_ran(self._attached, self._future, offset):
                    raise RuntimeGone(f"{error}. Whether the task has run isn't known; it is handed over again only with resend=True") from error
                self._node.again(self._attached, error)
                self._handed()

    def cancel(self, timeout_s=None):
        """As `Future.cancel`."""
        self._future.cancel(timeout_s)

    @property
    def reply(self):
        return self._future.reply

    @property
    def offset(self):
        return getattr(self._future, "offset", None)        # one in parts has none

    @property
    def is_done(self):
        return self._future.is_done


def never_ran(attached, future, offset):
    """True when no worker had taken the task with this record, and none will: its worker has ended."""
    if offset is None:
        return False
    if atomics.load(future._pool._lane + lanes.ENDED) == 0 and any(processes.lives(word) for word in attached.about.identities):
        return False
    return atomics.load(attached.address + offset + tasks.TAKEN) == 0
