"""What every test gets: a time limit, a check for things left behind, and a common end on all ranks of a job."""

import os

import pytest
from harness import job as jobs
from harness import leaks as leaking
from wrp.comm.ranks.launcher import launcher, quiet_open_mpi

if launcher() is not None:
    quiet_open_mpi()        # before anybody imports MPI
    os.environ.setdefault("WRP_TIMEOUT_S", "30")

_JOB = pytest.StashKey()
_FAILURE = pytest.StashKey()


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    job = config.stash[_JOB] = jobs.joined(config)
    if job is not None:
        job.hush(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        item.stash[_FAILURE] = report.longreprtext
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


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    job = session.config.stash[_JOB]
    if job is not None:
        job.close(exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED))


@pytest.fixture(autouse=True)
def no_leaks(request):
    """Fail a test that leaves threads, descriptors, child processes or names in shared memory behind."""
    # MPI opens descriptors when it likes
    before = leaking.snapshot(with_descriptors=request.config.stash[_JOB] is None)
    yield
    found = leaking.leaks(before)
    assert not found, "; ".join(found)
