"""MpiRanks: a group of ranks connected by MPI, with polled collectives only."""

import pickle
from typing import NamedTuple

import numpy as np

from wrp.comm.ranks.group import Ranks
from wrp.comm.ranks.streams import flush
from wrp.comm.ranks.waiting import broken, linger, wait
from wrp.errors import UsageError, WaitTimeout

WORLD, ON_NODE, LEADERS, ALONE = range(4)
_PIECE = 1 << 30            # counts of MPI are 32 bits wide
_INLINE = 1024              # bytes that travel with their size: in share(), and of each rank in gather()
_GATHERED = 64 << 10        # but not more of all ranks together
_kept = []                  # buffers and requests of failed waits: MPI may still write to them


class Step(NamedTuple):
    """One collective step: the group's number, what it is called, how many came before in this group."""

    group: int
    what: str
    number: int


class _Whole:
    __slots__ = "_ranks", "_what"

    def __init__(self, ranks, what):
        self._ranks, self._what = ranks, what

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self._ranks.left(self._what, error)


class MpiRanks(Ranks):
    """`members` = world ranks of the group, `board` = Board or None before it exists."""

    def __init__(self, comm, kind, members, board=None):
        super().__init__()
        self.comm, self.kind, self.world_ranks, self.board = comm, kind, members, board
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.world_rank = members[self.rank]
        self.is_world = kind == WORLD
        self.nodes = self.size if kind == LEADERS else 1
        self.node = self.rank if kind == LEADERS else 0
        self.local_rank, self.local_size = (0, 1) if kind == LEADERS else (self.rank, self.size)
        self.most_local = self.local_size
        self.pulse = None
        self._failed = {}               # shared by the groups of one world
        self._on_node = self._leaders = self

    @property
    def broken(self):
        return self._failed.get("why")

    @property
    def on_node(self):
        return self._on_node

    @property
    def leaders(self):
        return self._leaders

    def barrier(self, what):
        step = self._begin(what)
        if self.size > 1:
            with self._whole(step):
                wait(self.comm.Ibarrier(), self, step)

    def share(self, obj, what, root=0):
        if not 0 <= root < self.size:
            raise UsageError(f"share('{what}'): there is no rank {root} among {self.size}")
        if self.size == 1:
            self._begin(what)
            return obj
        mine = self.rank == root
        payload = pickle.dumps(obj, protocol=5) if mine else b""
        step = self._begin(what)
        with self._whole(step):
            head = _head(payload, _INLINE)
            self._bcast(head, root, step)
            nbytes = int(head[:8].view(np.int64)[0])
            if mine:
                self._bcast_long(np.frombuffer(payload, np.uint8), root, step)
                return obj
            body = head[8:8 + nbytes] if nbytes <= _INLINE else np.empty(nbytes, np.uint8)
            if nbytes > _INLINE:
                self._bcast_long(body, root, step)
        return pickle.loads(body.data)

    def gather(self, obj, what):
        if self.size == 1:
            self._begin(what)
            return [obj]
        # None, what agreed() sends when all is well, takes no bytes
        payload = b"" if obj is None else pickle.dumps(obj, protocol=5)
        step = self._begin(what)
        with self._whole(step):
            inline = min(_INLINE, _GATHERED // self.size)
            heads = np.empty((self.size, 8 + inline), np.uint8)
            wait(self.comm.Iallgather(_head(payload, inline), heads), self, step)
            sizes = heads[:, :8].copy().view(np.int64).ravel()
            if sizes.max() <= inline:
                parts = [head[8:8 + size].data for head, size in zip(heads, sizes)]
            else:
                parts = self._exchange(payload, sizes, step)
        parts[self.rank] = None
        return [obj if rank == self.rank else pickle.loads(part) if len(part) else None
                for rank, part in enumerate(parts)]

    def tick(self):
        if self.board is not None:
            self.board.tick()
        if self.pulse is not None:
            self.pulse.beat()

    def rely(self, change):
        if self.board is not None:
            self.board.rely(change)

    def linger(self):
        if self.board is not None:
            self.board.leave()
            linger(self)

    def progress(self):
        self.comm.Iprobe()

    def abort(self, code):
        from mpi4py import MPI
        flush()
        MPI.COMM_WORLD.Abort(code)

    @staticmethod
    def keep(request):
        """MPI may still write to the buffers of a request that nobody waits for any more."""
        _kept.append(request)

    def give_up(self, request, sentence):
        """A wait of this rank failed: keep what MPI may still touch, refuse later steps, raise WaitTimeout."""
        self.keep(request)
        self._failed["why"] = sentence
        raise WaitTimeout(sentence)

    def _whole(self, step):
        """Context manager: an error that a handler of a signal raises in the step ends what this rank can do together with others."""
        return _Whole(self, step.what)

    def left(self, what, error):
        if self.size > 1 and not self.broken:
            self._failed["why"] = f"rank {self.world_rank} on {self.host} left '{what}' in the middle, because of {type(error).__name__}: {error}"

    def _begin(self, what):
        if self.broken:
            raise broken(self, what)
        number = self.board.enter(self.kind, what) if self.board is not None else 0
        if self.pulse is not None:
            self.pulse.beat()
        return Step(self.kind, what, number)

    def _bcast(self, array, root, step):
        wait(self.comm.Ibcast(array, root), self, step)

    def _bcast_long(self, array, root, step):
        if len(array) > _INLINE:
            for start in range(0, len(array), _PIECE):
                self._bcast(array[start:start + _PIECE], root, step)

    def _exchange(self, payload, sizes, step):
        """Every rank's bytes, in rounds that keep the sum of counts below 2 GiB."""
        piece = max(1, _PIECE // self.size)
        data = np.frombuffer(payload, np.uint8)
        parts = [[] for _ in sizes]
        for start in range(0, int(sizes.max()), piece):
            counts = np.clip(sizes - start, 0, piece)
            ends = np.cumsum(counts)
            got = np.empty(int(ends[-1]), np.uint8)
            wait(self.comm.Iallgatherv(data[start:start + piece], [got, counts.tolist()]), self, step)
            for rank, end in enumerate(ends):
                parts[rank].append(got[end - counts[rank]:end])
        return [part[0].data if len(part) == 1 else b"".join(piece.tobytes() for piece in part) for part in parts]


def _head(payload, inline):
    """Its size and its first bytes, as a uint8 array."""
    head = np.zeros(8 + inline, np.uint8)
    head[:8].view(np.int64)[0] = len(payload)
    head[8:8 + min(len(payload), inline)] = np.frombuffer(payload[:inline], np.uint8)
    return head
