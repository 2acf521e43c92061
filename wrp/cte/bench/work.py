"""What one client thread of the benchmark does: puts and gets of its own blobs, `depth` handed over together. Measures only durations."""

from time import perf_counter_ns

import numpy as np

from wrp.cte.bench import loops
from wrp.cte.client import Client
from wrp.cte.records import full_name
from wrp.errors import WrpError

SCORE = 0.8
_SEED = 1


class Work:
    """The blobs ``blob_0`` … of the tag ``tag_t<number>`` (behind the rank where there are several).

    Attributes: failed (operations), error (the first one), wrong (blobs whose bytes weren't those that were put).
    """

    def __init__(self, store, options, number):
        self._store, self._options = store, options
        prefix = f"rank{store.ranks.rank}_" if store.ranks.size > 1 else ""
        self.tag, self.names = f"{prefix}tag_t{number}", [f"blob_{count}" for count in range(options.io_count)]
        self._data = np.random.default_rng(_SEED + number).integers(0, 256, (options.depth, options.io_size), dtype=np.uint8)
        self._out = np.ones_like(self._data)
        self._client = Client(store, threads=options.depth, depth=options.depth) if options.is_async else None
        self.failed = self.wrong = 0
        self.error = None

    def warm_up(self):
        """Put and get blobs of a tag of its own, which stay until `cool_down`: nothing is loaded or compiled while time runs.

        They are as many as will be put, so that the memory for all of them has its pages; with the option `fresh` one group.
        """
        tag, names, first = self.tag, self.names, self.names[:self._options.depth]
        self.tag, self.names = self._warm_tag, first if self._options.fresh else names
        try:
            self.put()
            self.names = first
            self.get()
        finally:
            self.tag, self.names, self.failed, self.error = tag, names, 0, None

    def cool_down(self):
        """Remove what `warm_up` has put. When all clients have put theirs: they are to have memory of their own."""
        if self._store.exists(self._warm_tag):
            self._store.destroy(self._warm_tag)

    @property
    def _warm_tag(self):
        return f"{self.tag} warm-up"

    def put(self):
        """Put all blobs once: durations in ns, one for each operation."""
        self._store.create(self.tag)
        return self._groups(self._put_some)

    def get(self):
        """Get all blobs once, into a buffer of the thread: durations in ns."""
        return self._get_jitted() if self._options.jitted else self._groups(self._get_some)

    def are_there(self):
        """True when all blobs are, with their size."""
        infos = self._store.infos(self.tag) if self._store.exists(self.tag) else {}
        return all(name in infos and infos[name].size == self._options.io_size for name in self.names)

    def verify(self):
        """Get every blob once more, each by itself; `wrong` counts those with other bytes than were put, and those that aren't there."""
        for number, name in enumerate(self.names):
            try:
                self.wrong += self._store.get(self.tag, name) != self._data[number % self._options.depth].tobytes()
            except WrpError:
                self.wrong += 1

    def close(self):
        """Remove the blobs."""
        if self._client is not None:
            self._client.close()
        if self._store.exists(self.tag):
            self._store.destroy(self.tag)

    def _groups(self, function):
        durations = np.zeros(len(self.names), np.int64)
        for start in range(0, len(self.names), self._options.depth):
            names = self.names[start:start + self._options.depth]
            begin = perf_counter_ns()
            try:
                function(names)
            except WrpError as error:
                self.failed += len(names)
                self.error = self.error or error
            durations[start:start + len(names)] = perf_counter_ns() - begin
        return durations

    def _put_some(self, names):
        rows = self._data[:len(names)]
        if self._client is not None:
            self._ended([self._client.later.put_blob(self.tag, name, 0, None, row, SCORE) for name, row in zip(names, rows)])
        elif len(names) > 1:
            self._store.put_many(self.tag, names, rows, SCORE)
        else:
            self._store.put(self.tag, names[0], rows[0], score=SCORE)

    def _get_some(self, names):
        rows = self._out[:len(names)]
        if self._client is not None:
            self._ended([self._client.later.get_blob(self.tag, name, out=row) for name, row in zip(names, rows)])
        elif len(names) > 1:
            self._store.get_many(self.tag, names, rows)
        else:
            self._store.get(self.tag, names[0], out=rows[0])

    def _ended(self, futures):
        for future in futures:
            future.wait()
            if future.get_return_code() != 0:
                self.failed += 1
                self.error = self.error or future.error()

    def _get_jitted(self):
        full = [full_name(self.tag, name).encode() for name in self.names]
        longest = max(map(len, full))
        names = np.frombuffer(b"".join(name.ljust(longest, b"\0") for name in full), np.uint8).reshape(len(full), longest)
        durations = np.zeros(len(full), np.int64)
        self.failed += loops.get_loop(self._store._direct.desk, names, np.array(list(map(len, full)), np.int64), self._out, durations)
        return durations
