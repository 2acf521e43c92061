"""What the environment says about the launcher that started this process. It never imports MPI."""

import os
from typing import NamedTuple, Optional

# name of the launcher, variables that hold the number of tasks, variables that hold this task's number
_KINDS = (
    ("Open MPI", ("OMPI_COMM_WORLD_SIZE",), ("OMPI_COMM_WORLD_RANK",)),
    ("PMI", ("PMI_SIZE",), ("PMI_RANK",)),
    ("Slurm", ("SLURM_STEP_NUM_TASKS",), ("SLURM_PROCID",)),    # the *step*: a batch script itself is no step
    ("PMIx", (), ("PMIX_RANK",)),                               # says the number of the task only
)
_PREFIXES = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "SLURM_STEP", "SLURM_PROCID", "MPIR_", "HYDRA_", "HYDI_", "MPIEXEC_")
_INFINIBAND = "/sys/class/infiniband"


class Launcher(NamedTuple):
    """`size` is None where only MPI can tell it."""

    kind: str
    size: Optional[int]
    rank: int

    @property
    def is_several(self):
        """True where it is known without MPI that it started more than one."""
        return max(self.size or 0, self.rank + 1) > 1


def launcher(environ=os.environ):
    """The Launcher that started this process, or None for a plain process."""
    for kind, sizes, ranks in _KINDS:
        rank = _number(environ, ranks)
        size = _number(environ, sizes)
        if rank is not None and (size is not None or not sizes):
            return Launcher(kind, size, rank)
    return None


def without_launcher(environ):
    """A copy of an environment less what a launcher put there: a process started with it is a world of one."""
    return {key: value for key, value in environ.items()
            if not key.startswith(_PREFIXES) or key.startswith(("OMPI_ALLOW_", "OMPI_MCA_osc"))}


def quiet_open_mpi(environ=os.environ):
    """Keep Open MPI from trying UCX windows where no fabric is: the attempt prints a harmless, puzzling line."""
    if not os.path.isdir(_INFINIBAND) or not os.listdir(_INFINIBAND):
        environ.setdefault("OMPI_MCA_osc", "^ucx")


def _number(environ, names):
    for name in names:
        if environ.get(name, "").isdigit():
            return int(environ[name])
    return None
