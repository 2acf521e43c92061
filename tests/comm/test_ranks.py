"""One process without MPI is a world of one; what the environment says about launchers and nodes."""

import subprocess
import sys

import pytest
from harness.mpirun import job_environment
from wrp.comm.ranks import is_common, world
from wrp.comm.ranks.group import timeout_from_environment
from wrp.comm.ranks.launcher import launcher, without_launcher
from wrp.comm.ranks.layout import layout, ranks_per_node_from_environment
from wrp.errors import OutOfSpace, UsageError


def test_one_process_never_imports_mpi():
    code = ("import sys; from wrp.comm.ranks import world; ranks = world(); ranks.barrier('x')\n"
            "assert (ranks.rank, ranks.size, ranks.comm) == (0, 1, None) and ranks.on_node is ranks\n"
            "assert not [name for name in sys.modules if name.startswith('mpi4py')]")
    subprocess.run([sys.executable, "-c", code], env=job_environment(), check=True, timeout=30)


def test_collectives_of_one():
    ranks = world()
    assert ranks is world()
    assert ranks.share({"a": 1}, "share") == {"a": 1}
    assert ranks.gather(7, "gather") == [7]
    assert ranks.leaders is ranks and (ranks.nodes, ranks.local_size) == (1, 1)


def test_agreed_of_one_raises_the_error_itself():
    with pytest.raises(OutOfSpace) as caught:
        with world().agreed("step"):
            raise OutOfSpace("no room")
    assert str(caught.value) == "no room" and is_common(caught.value)


@pytest.mark.parametrize("environ, expected", [
    ({}, None),
    ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2", "PMIX_RANK": "2"}, ("Open MPI", 4, 2)),
    ({"PMI_SIZE": "3", "PMI_RANK": "1"}, ("PMI", 3, 1)),
    ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "7"}, ("Slurm", 8, 7)),
    ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, None),             # a batch script is no step
    ({"PMIX_RANK": "1"}, ("PMIx", None, 1)),
])
def test_launcher(environ, expected):
    assert launcher(environ) == expected
    assert launcher(without_launcher(environ)) is None


def test_nodes():
    assert layout("aabb").nodes == ((0, 1), (2, 3))
    assert layout("abab").nodes == ((0, 2), (1, 3))
    assert layout("aaaaa", 2).nodes == ((0, 1), (2, 3), (4,))
    assert layout("aaab", 2).nodes == ((0, 1), (2,), (3,))
    assert layout("aaab", 2).node_of(3) == 2


@pytest.mark.parametrize("text", ["0", "-1", "two"])
def test_wrong_ranks_per_node_is_refused(text):
    with pytest.raises(UsageError, match="WRP_RANKS_PER_NODE"):
        ranks_per_node_from_environment({"WRP_RANKS_PER_NODE": text})


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_wrong_deadline_is_refused(text):
    with pytest.raises(UsageError, match="WRP_TIMEOUT_S"):
        timeout_from_environment({"WRP_TIMEOUT_S": text})


def test_deadline():
    assert timeout_from_environment({}) == 300
    assert timeout_from_environment({"WRP_TIMEOUT_S": "1.5"}) == 1.5


@pytest.mark.parametrize("variables, sentence", [
    ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "Slurm started 2 processes, but MPI sees 1"),
    ({"PMI_SIZE": "4", "PMI_RANK": "0"}, "PMI started 4 processes, but MPI sees 1"),
    ({"PMIX_RANK": "1"}, "PMIx started this process as rank 1, but MPI sees 1")])
def test_a_launcher_that_mpi_does_not_know_is_refused(variables, sentence):
    code = "from wrp.comm.ranks import run; import sys; sys.exit(run(print))"
    done = subprocess.run([sys.executable, "-c", code], env=job_environment(variables), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "srun --mpi=pmix" in done.stderr and sentence in done.stderr
