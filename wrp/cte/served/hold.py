"""Hold: which daemon a program's calls are asked of: the one of now, and the next one when that has gone. What can be asked is attached.py's, how it gets there link.py's."""

from wrp.comm.turn import Turn
from wrp.cte.served import calls
from wrp.cte.served.ends import Gone, Late
from wrp.cte.served.link import Link
from wrp.cte.served.slips import SMALL
from wrp.errors import RuntimeGone, StoreError, UsageError, WaitTimeout


class Hold:
    """Any thread. node : an Attached or a Reattaching, which `close` leaves where it is the Hold's own."""

    def __init__(self, node, is_own):
        self._node, self._is_own, self._lock, self._link = node, is_own, Turn(), None      # a handler's call in the middle of another makes a Link, too
        self._changed = None            # the daemon that has taken changes since the last flush

    def close(self):
        """Leave the daemon, whose store stays. Idempotent."""
        node, self._node = self._node, _Closed(self._node.name)
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.close(self._is_own)
        del link            # it looks at the memory
        if self._is_own:
            node.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _ask(self, call, *args, parts=(), out=None, room=SMALL, **options):
        return self._linked(call, lambda link: link.ask(call, list(args), options, parts, out, room))

    def _linked(self, call, ask):
        """Ask the daemon of now, and the next one where this one has gone and what was asked wasn't done, or may be done twice."""
        while True:
            link = self._now()
            try:
                return self._flushed(link, ask) if call == "flush" else self._made(call, link, ask)
            except (RuntimeGone, Late) as error:
                is_sure = isinstance(error, Gone) or call in calls.CHANGES_NOTHING
                said = str(error) if is_sure else f"{error}. Whether {call} has happened isn't known"
                if isinstance(error, Late):
                    raise WaitTimeout(said) from error
                if not is_sure or not hasattr(self._node, "again"):
                    raise RuntimeGone(said) from error
                self._node.again(link.attached, error)

    def _made(self, call, link, ask):
        value = ask(link)
        if self._changed is None and call not in calls.CHANGES_NOTHING:
            self._changed = link.attached
        return value

    def _flushed(self, link, ask):
        self._check_same(link)
        changed, self._changed = self._changed, None
        try:
            return ask(link)
        except BaseException:
            self._changed = changed
            raise

    def _check_same(self, link):
        """A flush makes nothing durable that a daemon had which has gone: who asks for it is told, once."""
        if self._changed not in (None, link.attached):
            self._changed = None
            raise StoreError(f"the daemon {self._node.name!r} that had what this program has put since its last flush has gone; the one of now can't flush that: "
                             "unless that daemon was stopped in an orderly way it is lost, so put it again and flush then")

    def _now(self):
        """The Link to the daemon of now."""
        self._node.check_open()
        attached = getattr(self._node, "attached", self._node)
        with self._lock:
            if self._link is None or self._link.attached is not attached:
                self._link = Link(attached)
            return self._link


class _Closed:
    """In place of the daemon, after `close`."""

    def __init__(self, name):
        self.name = name

    def check_open(self):
        raise UsageError(f"the store of the daemon {self.name!r} was closed here: attach again")

    def close(self):
        pass
