"""Joining: how the groups of a world come to be. Collective over all processes of the job."""

from wrp.comm.ranks.board import CELL, Board
from wrp.comm.ranks.layout import layout, ranks_per_node_from_environment
from wrp.comm.ranks.mpi import ALONE, LEADERS, ON_NODE, WORLD, MpiRanks
from wrp.comm.ranks.pulse import Pulse


class World(MpiRanks):
    """All ranks of the job; owns the board and the groups."""

    _window = None
    _forget = None              # to be called when it closes
    _closed = False

    def close(self):
        """Collective, idempotent. Must not be called while another collective call is on its way."""
        if self._closed:
            return
        self._closed = True
        self._forget()
        if self.broken:             # the others don't come: what MPI holds goes with the process
            return
        self.barrier("close of the ranks")
        self.board.leave()
        if self.pulse is not None:
            self.pulse.close()
        self.board = self.pulse = None
        for group in (self._on_node, self._leaders):
            if group is not None:
                group.board = group.pulse = None
                group.comm.Free()
        self._window.Free()
        self.comm.Free()


def join(comm, forget):
    """The World over an MPI communicator, which calls `forget` when it closes. Blocking calls of MPI come after a polled barrier only: nobody waits alone."""
    from mpi4py import MPI
    members = tuple(range(comm.Get_size()))
    MpiRanks(comm, WORLD, members).barrier("world()")
    world = World(comm.Dup(), WORLD, members)
    world._forget = forget
    machine = world.comm.Split_type(MPI.COMM_TYPE_SHARED, world.rank)
    neighbours = machine.allgather(world.rank)
    machine.Free()
    facts = world.comm.allgather((neighbours[0], ranks_per_node_from_environment()))
    _split(world, layout([fact[0] for fact in facts], facts[0][1]).nodes)
    return world


def _split(world, nodes):
    """Make the groups of nodes and of leaders, and what they see of each other."""
    from mpi4py import MPI
    world.nodes = len(nodes)
    world.node = next(number for number, members in enumerate(nodes) if world.rank in members)
    mine = nodes[world.node]
    world.local_rank, world.local_size, world.most_local = mine.index(world.rank), len(mine), max(map(len, nodes))
    node_comm = world.comm.Split(world.node, world.rank)
    leader_comm = world.comm.Split(0 if world.local_rank == 0 else MPI.UNDEFINED, world.rank)
    world.board, world._window = _board(node_comm, mine, world.rank)
    if world.nodes > 1:
        others = [members[0] for members in nodes if members is not mine]
        world.pulse = Pulse(world.comm.Dup(), others, world.board, world.timeout_s)
    alone = _group(world, MPI.COMM_SELF, ALONE, (world.rank,))
    world._on_node = _group(world, node_comm, ON_NODE, mine)
    world._on_node._leaders = world._leaders = None
    if world.local_rank == 0:
        world._leaders = _group(world, leader_comm, LEADERS, tuple(members[0] for members in nodes))
        world._on_node._leaders = world._leaders._on_node = alone


def _board(comm, members, rank):
    """The Board of this node and the window it lies in."""
    from mpi4py import MPI
    nbytes = CELL.itemsize * len(members) if rank == members[0] else 0
    window = MPI.Win.Allocate_shared(nbytes, 1, comm=comm)
    buffer, _ = window.Shared_query(0)
    if rank == members[0]:
        memoryview(buffer).cast("B")[:] = bytes(nbytes)
    comm.Barrier()
    board = Board(buffer, members, rank)
    board.arrive()
    comm.Barrier()
    return board, window


def _group(world, comm, kind, members):
    group = MpiRanks(comm, kind, members, world.board)
    group.pulse, group._failed = world.pulse, world._failed
    return group
