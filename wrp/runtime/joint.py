"""Joint: several tasks that are waited for as one, and the pool that makes such. Decides no routes."""

from wrp.errors import UsageError
from wrp.runtime.batch import Batch
from wrp.runtime.future import Reply


def joined(replies):
    """The default of bringing Replies together: the first whose code isn't 0, else the sums of their values."""
    bad = next((reply for reply in replies if reply.code), None)
    return bad or Reply(0, tuple(map(sum, zip(*(reply.values for reply in replies)))))


def aggregate_of(cls, method):
    """The function that brings Replies of a method together: the module's own `aggregate`, where it has one."""
    own = getattr(cls, "aggregate", None)
    return joined if own is None else lambda replies: Reply(*own(method, replies))


class Joint:
    """The Future of a task in parts."""

    def __init__(self, parts, aggregate=joined):
        self._parts, self._aggregate, self.reply = parts, aggregate, None

    def wait(self, timeout_s=None):
        """See `Future.wait`; the deadline is that of each part."""
        if self.reply is None:
            self.reply = self._aggregate([part.wait(timeout_s) for part in self._parts])
        return self.reply

    def __await__(self):
        if self.reply is None:
            replies = []
            for part in self._parts:
                replies.append((yield from part.__await__()))
            self.reply = self._aggregate(replies)
        return self.reply

    async def within(self, timeout_s):
        """See `Future.within`; the deadline is that of each part."""
        replies = []
        for part in self._parts:
            replies.append(await part.within(timeout_s))
        self.reply = self._aggregate(replies)
        return self.reply

    def cancel(self, timeout_s=None):
        """See `Future.cancel`."""
        for part in self._parts:
            part.cancel(timeout_s)


class Several:
    """Several containers of one node as one pool: what `Pool.towards` gives where no postman brings results together."""

    def __init__(self, pool, parts):
        self._pool, self._parts = pool, parts
        self.name = pool.name

    def submit(self, method, *args, period_s=None, **options):
        """As `Pool.submit`; the results of all containers are brought together."""
        if period_s is not None:
            raise UsageError(f"a periodic task of pool {self.name!r} is one of one container")
        return Joint([part.submit(method, *args, **options) for part in self._parts], aggregate_of(self._pool.module, method))

    def call(self, method, *args, timeout_s=None):
        """As `Pool.call`."""
        return self.submit(method, *args, timeout_s=timeout_s).wait(timeout_s)

    def post(self, method, *args, **options):
        """As `Pool.post`."""
        for part in self._parts:
            part.post(method, *args, **options)

    def submit_many(self, method, rows, timeout_s=None):
        """As `Pool.submit_many`."""
        return Batch(self._pool, method, (), [self.submit(method, *row, timeout_s=timeout_s) for row in rows])

    async def submit_async(self, method, *args, **options):
        """As `Pool.submit_async`."""
        parts = [await part.submit_async(method, *args, **options) for part in self._parts]
        return Joint(parts, aggregate_of(self._pool.module, method))

    @property
    def number(self):
        raise UsageError(f"several containers of pool {self.name!r} have no common number on one node: call each")
