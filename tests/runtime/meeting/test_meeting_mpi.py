"""Meetings of ranks and of threads over a pool. Holds for any number of ranks."""

import threading
import time

import pytest

from wrp.comm.ranks import world
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime.config import load
from wrp.runtime.meeting import Meeting
from wrp.runtime.meeting.point import BARRIER, MEET
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "c.yaml").write_text("runtime: {timeout_s: 25, segment_capacity: 32m}")
    with Runtime(world(), load(str(tmp_path / "c.yaml"), {})) as runtime:
        yield runtime.pool("meetings", "meeting", shards=2)


@pytest.mark.parametrize("key", [0, 1, 2])
def test_all_ranks_reduce_and_gather(pool, key):
    ranks = world()
    meeting = Meeting(pool, ranks.rank, ranks.size, key)
    for number in range(20):
        meeting.barrier()
        assert meeting.reduce(ranks.rank + number) == sum(range(number, number + ranks.size))
        assert meeting.reduce(-ranks.rank, "min") == 1 - ranks.size
        assert meeting.reduce(ranks.rank, "max") == ranks.size - 1
        assert meeting.gather(100 * number + ranks.rank) == [100 * number + rank for rank in range(ranks.size)]


def test_nobody_leaves_before_the_last_has_come(pool):
    ranks = world()
    meeting = Meeting(pool, ranks.rank, ranks.size, 7)
    meeting.barrier()
    if ranks.rank == ranks.size - 1:
        time.sleep(0.2)
    came = time.monotonic()
    meeting.barrier()
    assert min(ranks.gather(time.monotonic(), "when ranks left")) >= max(ranks.gather(came, "when ranks came"))


def test_participants_are_counted_once(pool):
    ranks, key = world(), 1000 + world().rank
    way = pool.towards(f"direct_hash:{key}")
    twice = [way.submit(MEET, BARRIER, key, 0, 0, 2, 0) for _ in range(2)]
    time.sleep(0.05)
    assert pool.call(MEET, BARRIER, key, 1, 0, 1, 0, query=f"direct_hash:{key}").code == 0       # both have been looked at
    other = way.submit(MEET, BARRIER, key, 0, 1, 2, 0)
    assert [future.wait().values[0] for future in (*twice, other)] == [2, 2, 2]
    ranks.barrier("all have met themselves")


def test_threads_meet(pool):
    key, found = 2000 + world().rank, []

    def take_part(number):
        found.append(tuple(Meeting(pool, number, 5, key).gather(number * number)))

    threads = [threading.Thread(target=take_part, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(0, 1, 4, 9, 16)] * 5
    world().barrier("threads have met everywhere")


def test_refusals(pool):
    key = 3000 + world().rank
    with pytest.raises(WaitTimeout, match="participant 0 of 2 waited 0.1 s in round 0"):
        Meeting(pool, 0, 2, key).barrier(timeout_s=0.1)
    waiting = pool.submit(MEET, BARRIER, key, 0, 0, 2, 0, query=f"direct_hash:{key}")
    with pytest.raises(UsageError, match="do something else"):
        Meeting(pool, 0, 3, key).barrier()
    waiting.cancel()
    assert waiting.wait().code == 97
    with pytest.raises(WaitTimeout, match="participant 0 of 3"):        # the other round is forgotten with the last one who waited
        Meeting(pool, 0, 3, key).barrier(timeout_s=0.1)
    with pytest.raises(UsageError, match="no participant 2 among 2"):
        Meeting(pool, 2, 2, key)
    with pytest.raises(UsageError, match="by 'mean'"):
        Meeting(pool, 0, 1, key).reduce(1, "mean")
    world().barrier("all were refused")
