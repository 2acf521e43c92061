"""Calls to a daemon's store that an error of a signal's handler ends, wherever it comes: they have happened or not, the daemon and the program go on, and space comes back."""

import contextlib
import os
import random
import signal
import time

import pytest

from cte.served.test_served_killed import wait_for
from harness.interrupting import interrupted_at
from wrp.cte import Store
from wrp.cte.served.slips import LARGE, SMALL
from wrp.errors import Changed, NoSuchBlob, UsageError
from wrp.runtime import bdev, clients
from wrp.runtime.daemon import attach

MIB = 1 << 20


class Interrupted(BaseException):
    """What the handler raises."""


def interrupted(signum, frame):
    raise Interrupted


@pytest.fixture
def alarm():
    """alarm(call, delay_s): True where the handler's error ended the call."""
    before = signal.signal(signal.SIGALRM, interrupted)

    def run(call, delay_s):
        try:
            signal.setitimer(signal.ITIMER_REAL, delay_s)
            call()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            return True
        return False

    yield run
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def committed(store, data):
    with store.batch("of an interrupted one") as batch:
        batch.put("t", "batch a", data)
        batch.put("t", "batch b", data)


def renamed(store):
    with contextlib.suppress(NoSuchBlob, Changed):      # by a call that was given up, between this look and this call
        store.rename("t", *(("here", "there") if store.exists("t", "here") else ("there", "here")))


def one_moment(look, other):
    """True where both look the same at every moment, before and behind a change that the daemon may make between the looks: its program has given up the call."""
    before, found = look(), other()
    return found in (before, look())


def test_calls_of_a_handler_in_the_middle_of_calls_end(served):
    """Or say that the call that they have interrupted has what they need."""
    answers, made = [], random.Random(7)

    def asks(signum, frame):
        try:
            answers.append(store.get("h", "a") == b"a" * 100)
        except UsageError as error:
            answers.append("in the middle of a call" in str(error))

    with Store.attach(served, 20) as store:
        store.put("h", "a", b"a" * 100)
        before = signal.signal(signal.SIGALRM, asks)
        try:
            for number in range(1000):
                signal.setitimer(signal.ITIMER_REAL, made.random() * 0.0003 + 1e-6)
                assert store.get("h", "a") == b"a" * 100
                with Store.attach(store._node) as other:        # its first call leases memory
                    assert other.size("h", "a") == 100
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        store.destroy("h")
    assert len(answers) > 300 and all(answers)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")          # where Python drops the handler's error
def test_calls_that_a_signal_ends_leave_the_daemon_and_the_program_as_they_are(started, alarm):
    running, made, ended = started(f"alarms{os.getpid()}"), random.Random(5), 0
    with attach(running.name, 20) as runtime:
        calls = runtime.pool("wrp_cte_calls")
        before = calls.call(bdev.GET_STATS).values[1]
        with Store.attach(runtime) as store:
            sizes = {"short": 100, "mid": MIB, "long": 5 * MIB, "batch a": 300_000, "batch b": 300_000}
            for blob, nbytes in sizes.items():
                store.put("t", blob, b"\0" * nbytes)
            store.put("t", "here", b"renamed")
            free = [target.remaining for target in store.targets()]
            for number in range(300):
                byte = bytes([number % 256])
                name, call = made.choice([
                    *((blob, lambda blob=blob: store.put("t", blob, byte * sizes[blob])) for blob in ("short", "mid", "long")),
                    *((blob, lambda blob=blob: store.get("t", blob)) for blob in ("short", "long")),
                    ("commit", lambda: committed(store, byte * 300_000)), ("rename", lambda: renamed(store)),
                    ("flush", store.flush), ("flush_all", store.flush_all), ("get_many", lambda: store.get_many("t", ["short", "mid"]))])
                ended += alarm(call, made.choice((0.0003, 0.001, 0.003, 0.01)) * made.random() * 2 + 1e-6)
                assert set(store.list("t")) - {"here", "there"} == set(sizes) and one_moment(lambda: store.exists("t", "here"), lambda: not store.exists("t", "there")), (number, name)
                for blob, nbytes in sizes.items() if number % 10 == 9 else ((name, sizes[name]),) if name in sizes else ():
                    found = store.get("t", blob)
                    assert len(found) == nbytes and found == found[:1] * nbytes, (number, name, blob)
                assert name != "commit" or one_moment(lambda: store.get("t", "batch a"), lambda: store.get("t", "batch b")), (number, name)
            assert ended > 50
            wait_for(lambda: store.flush() or not len(store._link._slips._lost), "memory of calls isn't given back")
            wait_for(lambda: [target.remaining for target in store.targets()][0] == free[0], lambda: f"{free} {[target.remaining for target in store.targets()]}")
        # but for rare moments, in which Python itself drops what a call has given
        large, rest = divmod(before - calls.call(bdev.GET_STATS).values[1], LARGE)
        assert large + rest / SMALL <= 3
        assert len(runtime._records) + len(runtime._abandoned) > clients.RECORDS - 5
    assert running.end() == 0


def test_memory_of_calls_that_a_handler_interrupts_as_it_is_given_back_is_given_back_once(served, monkeypatch):
    """It may be another call's by then."""
    with attach(served, 20) as runtime, Store.attach(runtime) as store:
        calls, slips, step, goes_on = runtime.pool("wrp_cte_calls"), store._link._slips, 1, True
        monkeypatch.setattr(slips, "_is_kept", lambda size: False)

        def takes():
            with slips.taken(LARGE):
                pass
        takes()
        free = calls.call(bdev.GET_STATS).values[1]
        while goes_on:
            slips._lost._looked_at = time.monotonic()           # what is owed waits
            goes_on = interrupted_at(step, takes)
            with slips.taken(LARGE) as one:
                slips._lost._looked_at = 0
                slips._find()
                with slips.taken(LARGE) as other:
                    assert one.place != other.place, step
            step += 1
        assert step > 30
        slips._lost._looked_at = 0
        slips._find()
        # at a few steps nobody has it in hand: it goes when the program leaves the daemon
        assert free - calls.call(bdev.GET_STATS).values[1] <= 3 * LARGE
