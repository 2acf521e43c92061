"""Joining: how the groups of a world come to be. Collective over all processes of the job."""

from wrp.comm.ranks.board import CELL, Board
from wrp.comm.ranks.layout import layout, ranks_per_node_from_environment
from wrp.comm.ranks.mpi import LEADERS, ON_NODE, WORLD, MpiRanks


class World(MpiRanks):
    """All ranks of the job; owns the board and the groups."""

    _on_node = _leaders = _window = None
    _closed = False

    @property
    def on_node(self):
        return self._on_node

    @property
    def leaders(self):
        return self._leaders

    def close(self):
        """Collective, idempotent. Must not be called while another collective call is on its way."""
        from wrp.comm.ranks.job import forget
        if self._closed:
            return
        self._closed = True
        forget()
        if self.broken:             # the others don't come: what MPI holds goes with the process
            return
        self.barrier("close of the ranks")
        self.board.leave()
        board, self.board = self.board, None
        for group in (self._on_node, self._leaders):
            if group is not None:
                group.board = None
                group.comm.Free()
        del board
        self._window.Free()
        self.comm.Free()


def join(comm):
    """The World over an MPI communicator. Blocking calls of MPI come after a polled barrier only: nobody waits alone."""
    from mpi4py import MPI
    members = tuple(range(comm.Get_size()))
    MpiRanks(comm, WORLD, members).barrier("world()")
    world = World(comm.Dup(), WORLD, members)
    machine = world.comm.Split_type(MPI.COMM_TYPE_SHARED, world.rank)
    neighbours = machine.allgather(world.rank)
    world.board, world._window = _board(machine, neighbours, world.rank)
    machine.Free()
    _split(world, neighbours[0], MPI)
    return world


def _board(machine, neighbours, rank):
    """The Board of this machine and the window it lies in."""
    from mpi4py import MPI
    nbytes = CELL.itemsize * len(neighbours) if machine.Get_rank() == 0 else 0
    window = MPI.Win.Allocate_shared(nbytes, 1, comm=machine)
    buffer, _ = window.Shared_query(0)
    if machine.Get_rank() == 0:
        memoryview(buffer).cast("B")[:] = bytes(nbytes)
    machine.Barrier()
    board = Board(buffer, neighbours, rank)
    board.arrive()
    machine.Barrier()
    return board, window


def _split(world, machine, MPI):
    """Make the groups of nodes and of leaders."""
    facts = world.gather((machine, ranks_per_node_from_environment()), "layout of the nodes")
    nodes = layout([fact[0] for fact in facts], facts[0][1]).nodes
    world.nodes = len(nodes)
    world.node = next(i for i, members in enumerate(nodes) if world.rank in members)
    mine = nodes[world.node]
    world.local_rank, world.local_size = mine.index(world.rank), len(mine)
    node_comm = world.comm.Split(world.node, world.rank)
    leader_comm = world.comm.Split(0 if world.local_rank == 0 else MPI.UNDEFINED, world.rank)
    world._on_node = _group(world, node_comm, ON_NODE, mine)
    if world.local_rank == 0:
        world._leaders = _group(world, leader_comm, LEADERS, tuple(members[0] for members in nodes))


def _group(world, comm, kind, members):
    group = MpiRanks(comm, kind, members, world.board)
    group._failed = world._failed
    return group
