"""world(): the Ranks of this job, made once per process."""

import os

from wrp.comm.ranks import ending
from wrp.comm.ranks.agreement import everywhere
from wrp.comm.ranks.launcher import launcher, quiet_open_mpi
from wrp.comm.ranks.solo import Solo
from wrp.errors import UsageError, WaitTimeout

_world = None
_apart = None                   # why the ranks haven't met: they can't meet later


def world():
    """The Ranks of all processes of this job. The first call, and the first after close(), is collective.

    Without a launcher in the environment, or with one that started one process, MPI is not imported.
    Raises UsageError where the launcher started several processes that MPI doesn't connect, WaitTimeout when not all come.
    """
    global _world
    if _world is None:
        found = launcher()
        if found is None or found.size == 1:
            return _remember(Solo())
        _remember(_connected(found))
    return _world


def speaks():
    """True on the rank that says what all have to say, also where the ranks haven't met. Local."""
    if _world is not None:
        return _world.rank == 0
    found = launcher()
    return found is None or found.rank == 0


def forget():
    """The next world() makes a new one."""
    global _world
    _world = None


def _remember(ranks):
    global _world
    _world = ranks
    return ranks


def _connected(found):
    MPI = _import_mpi(found)
    size = MPI.COMM_WORLD.Get_size()
    if found.rank >= size or found.size is not None and size < found.size:
        started = f"{found.size} processes" if found.size is not None else f"this process as rank {found.rank}"
        error = UsageError(
            f"{found.kind} started {started}, but MPI sees {size}: launcher and MPI library don't match. "
            "Start with the mpirun of the MPI library that mpi4py uses, or under Slurm with 'srun --mpi=pmix ...' "
            "('srun --mpi=pmi2 ...' for MPICH)")
        # where only MPI can tell the size, rank 0 takes itself for alone
        raise error if found.size is None else everywhere(error)
    if size == 1:
        return Solo()
    ranks = _joined(MPI.COMM_WORLD)
    ending.install(ranks)
    return ranks


def _joined(comm):
    global _apart
    from wrp.comm.ranks.joining import join
    if _apart is not None:
        raise _apart
    try:
        return join(comm, forget)
    except WaitTimeout as error:
        _apart = error
        raise


def _import_mpi(found):
    quiet_open_mpi(os.environ)
    try:
        import mpi4py
        mpi4py.rc.thread_level = "multiple"
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise UsageError(
            f"{found.kind} started this process as rank {found.rank}, but MPI can't be loaded ({error}): "
            "install wrp with its MPI extra, or start one process without a launcher") from error
    return MPI
