"""Meetings of ranks and of threads over a pool. Holds for any number of ranks and nodes."""

import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wrp.comm import atomics, remote
from wrp.comm.ranks import world
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime.config import load
from wrp.runtime.meeting import Meeting
from wrp.runtime.meeting import rooms
from wrp.runtime.meeting.point import MEET, table_of
from wrp.runtime.meeting.rooms import BARRIER
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi


@pytest.fixture(params=[True] + [False] * (world().nodes > 1), ids=lambda has_symbols: "" if has_symbols else "in-python")
def pool(request, tmp_path, monkeypatch):
    if not request.param:           # as with a library of MPI in which its functions aren't found
        monkeypatch.setattr(remote, "calls_of", lambda window, comm: None)
    (tmp_path / "c.yaml").write_text("runtime: {timeout_s: 25, segment_capacity: 32m}\nnetworking: {mailbox_depth: 8}")
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


def test_a_participant_that_comes_twice_counts_once(pool):
    key = 4000 + world().rank
    with ThreadPoolExecutor(2) as threads:
        twice = [threads.submit(Meeting(pool, 0, 2, key).reduce, 5, timeout_s=20) for _ in range(2)]
        time.sleep(0.05)
        assert not any(future.done() for future in twice)
        assert Meeting(pool, 1, 2, key).reduce(2) == 7
        assert [future.result() for future in twice] == [7, 7]
    world().barrier("all have met themselves")


def test_a_time_limit_and_a_kind_are_of_one_call_alone(pool):
    one, two = (Meeting(pool, number, 2, 4000 + world().rank) for number in range(2))
    for each in (one, two):
        with pytest.raises(WaitTimeout, match="waited 0.02 s"):
            each.barrier(timeout_s=0.02)
    with ThreadPoolExecutor(1) as threads:
        for call, value, found in ((one.barrier, (), None), (one.reduce, (3,), 7), (one.barrier, (), None)):
            waiting = threads.submit(call, *value)
            time.sleep(0.1)
            assert getattr(two, call.__name__)(*(4 for _ in value)) == found == waiting.result()
    world().barrier("all have met themselves once more")


def test_many_rounds_are_open_at_once(pool):
    """More than the table has room for near their places; each is found again."""
    first = 5000 + 100 * world().rank
    with ThreadPoolExecutor(48) as threads:
        waiting = [threads.submit(Meeting(pool, 0, 2, first + number).reduce, number, timeout_s=20) for number in range(48)]
        assert [Meeting(pool, 1, 2, first + number).reduce(1) for number in range(48)] == list(range(1, 49))
        assert [future.result() for future in waiting] == list(range(1, 49))
    world().barrier("all rounds have ended")


def test_a_participant_killed_inside_holds_up_nobody(pool):
    gone = subprocess.Popen(["true"])
    gone.wait()
    table, ranks = table_of(pool), world()
    ranks.barrier("nobody is in the table")
    if ranks.rank == 0:
        atomics.store(table, gone.pid << 32 | 1)        # it has died with the token of the rooms
    ranks.barrier("the token is held")
    assert Meeting(pool, ranks.rank, ranks.size, 8).reduce(1) == ranks.size
    if ranks.rank == 0:                                 # one that has died while it waited: its round is forgotten after its deadline
        words = asked(table, 9)
        assert rooms.meet(words.ctypes.data) == rooms.OPEN
        time.sleep(1.2)
        with pytest.raises(WaitTimeout):
            Meeting(pool, 1, 2, 9).barrier(timeout_s=0.05)
    ranks.barrier("the dead are forgotten")


def asked(table, key):
    """What participant 0 of 2 asks with that waits for 10 ms."""
    words = np.zeros(rooms.WORDS, np.int64)
    words[[rooms.TABLE, rooms.HOLDER, rooms.KEY, rooms.PARTICIPANTS]] = table, os.getpid() << 32 | 77, key, 2
    words[[rooms.SLICE, rooms.TIMEOUT, rooms.NUMBER]] = 10_000, 10_000_000, -1
    return words


def test_one_that_has_given_up_is_known_everywhere(pool):
    ranks, key = world(), 7000
    if ranks.rank == 0:
        with pytest.raises(WaitTimeout):
            Meeting(pool, 0, 2, key).barrier(timeout_s=0.1)
    ranks.barrier("the first one has given up")
    time.sleep(0.3)
    if ranks.rank == ranks.size - 1:                    # the round was forgotten, and is another now
        with pytest.raises(WaitTimeout):
            Meeting(pool, 1, 2, key).barrier(timeout_s=0.2)
    ranks.barrier("so has the second one")


def test_two_who_come_for_different_things_do_not_meet(pool):
    ranks, key = world(), 7100
    outcome = None
    if ranks.rank in (0, ranks.size - 1):
        meeting = Meeting(pool, int(ranks.rank != 0), 2, key)
        try:
            outcome = meeting.reduce(1, timeout_s=1) if ranks.rank == 0 else meeting.barrier(timeout_s=1)
        except (UsageError, WaitTimeout) as error:
            outcome = type(error)
    ends = [end for number, end in enumerate(ranks.gather(outcome, "what came of it")) if number in (0, ranks.size - 1)]
    assert set(ends) <= {UsageError, WaitTimeout} and (UsageError in ends or ranks.size == 1)


def test_values_come_from_every_node_however_late(pool):
    ranks = world()
    meeting = Meeting(pool, ranks.rank, ranks.size, 7200)
    for number in range(3):
        if ranks.rank == number % ranks.size:
            time.sleep(0.1)                             # the others sleep by then
        assert meeting.gather(number - ranks.rank) == [number - rank for rank in range(ranks.size)]


def test_refusals(pool):
    key = 3000 + world().rank
    with pytest.raises(WaitTimeout, match="participant 0 of 2 waited 0.1 s in round 0"):
        Meeting(pool, 0, 2, key).barrier(timeout_s=0.1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(Meeting(pool, 0, 2, key).barrier, timeout_s=0.5)
        time.sleep(0.1)
        with pytest.raises(UsageError, match="do something else"):
            Meeting(pool, 0, 3, key).barrier()
        with pytest.raises(UsageError, match="do something else"):
            Meeting(pool, 1, 2, key).reduce(1)
        with pytest.raises(WaitTimeout):
            waiting.result()
    with pytest.raises(WaitTimeout, match="participant 0 of 3"):        # the other round is forgotten with the last one who waited
        Meeting(pool, 0, 3, key).barrier(timeout_s=0.1)
    with pytest.raises(UsageError, match="no participant 2 among 2"):
        Meeting(pool, 2, 2, key)
    with pytest.raises(UsageError, match="by 'mean'"):
        Meeting(pool, 0, 1, key).reduce(1, "mean")
    with pytest.raises(UsageError, match="64 bits"):
        Meeting(pool, 0, 1, key).reduce(1 << 63)
    with pytest.raises(UsageError, match="integer"):
        Meeting(pool, 0, 1, key).reduce(1.5)
    world().barrier("all were refused")


def test_more_participants_than_a_room_has_places_for(pool):
    key, count = 6000 + world().rank, rooms.MOST + 1
    way = pool.towards(f"direct_hash:{key}")
    others = [way.submit(MEET, BARRIER, key, 0, number, count, 0) for number in range(1, count)]
    Meeting(pool, 0, count, key).barrier()
    assert {future.wait().values[0] for future in others} == {count}
    world().barrier("all have met")
