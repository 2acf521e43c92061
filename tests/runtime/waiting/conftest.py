"""Pools of modules that wait."""

import time

import pytest

from runtime.waiting import modules


@pytest.fixture
def waits(runtime):
    """(pool, container) of coroutines."""
    pool = runtime.pool("waits", "waits")
    container = runtime._containers[pool.number]
    yield pool, container
    container.is_open = True
    container.may_end.set()


@pytest.fixture
def steps(runtime):
    """A pool of jitted handlers."""
    return runtime.pool("steps", "steps")


@pytest.fixture
def until():
    """Waits until a condition holds, at most 20 s."""
    def wait(condition):
        over_at = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < over_at, "it never came to that"
            time.sleep(0.002)
    return wait


assert modules
