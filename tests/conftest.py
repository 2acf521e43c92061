"""What every test gets: a time limit, a check for things left behind, and a common end on all ranks of a job."""

import os
import signal

import pytest
from harness import job as jobs
from harness import leaks as leaking
from wrp.comm.ranks.launcher import launcher, quiet_open_mpi

if launcher() is not None:
    quiet_open_mpi()        # before anybody imports MPI
    os.environ.setdefault("WRP_TIMEOUT_S", "30")

_SHARED = leaking.own_folder()

_JOB = pytest.StashKey()
_FAILURE = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.stash[_JOB] = None
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)    # of a shell that began us in the background; tests' programs would inherit it
    if launcher() is not None:
        config.option.color = "no"      # mpirun gives rank 0 a terminal that nobody looks at


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    job = session.config.stash[_JOB] = jobs.joined(session.config)
    if job is not None:
        job.hush(session.config)


def pytest_ignore_collect(collection_path, config):
    """Where ranks run the tests of ranks, none of them imports the hundreds of files that have no such test."""
    if config.getoption("with_mpi", False) and config.getoption("markexpr") == "mpi" and collection_path.suffix == ".py":
        return True if b"mark.mpi" not in collection_path.read_bytes() else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        item.stash[_FAILURE] = item.stash.get(_FAILURE, "") + report.longreprtext
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    job = item.config.stash[_JOB]
    if job is None or item.get_closest_marker("mpi") is None:
        return (yield)
    job.watch(item.nodeid)
    result = yield
    job.finish(item.nodeid, item.stash.get(_FAILURE, ""))
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    job = session.config.stash[_JOB]
    if job is None:
        return (yield)
    if job.rank == 0:
        job.meet()          # the others have shown theirs before rank 0 writes its closing lines
        return (yield)
    result = yield
    job.show(exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED))
    job.meet()
    return result


def pytest_unconfigure(config):
    _SHARED.close()


@pytest.fixture(autouse=True)
def no_leaks(request):
    """Fail a test that leaves threads, descriptors, child processes or names in shared memory behind."""
    # MPI opens descriptors when it likes
    before = leaking.snapshot(with_descriptors=request.config.stash[_JOB] is None)
    yield
    found = leaking.leaks(before)
    assert not found, "; ".join(found)
