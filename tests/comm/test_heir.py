"""A token whose holder died: it goes to one of those who wait, and from the living nothing is taken."""
import os
import signal
import time

import pytest

from wrp.comm import atomics
from wrp.comm.heir import inherited
from wrp.comm.lock import NBYTES, DeadHolder, Token
from wrp.errors import UsageError, WaitTimeout


@pytest.fixture
def token(segment):
    return Token(segment.address + segment.place("token", NBYTES)[0])


@pytest.fixture
def words(segment):
    """Addresses of three words: who is told of a death, who is inside, who met another there."""
    at = segment.address + segment.place("words", 64)[0]
    return at, at + 8, at + 16


def _dies_with(token, fork):
    child = fork(lambda: (token.acquire("x", 1), os.kill(os.getpid(), signal.SIGKILL)))
    assert child.join() == -signal.SIGKILL
    with pytest.raises(DeadHolder):
        token.acquire("x", 1)


def test_the_next_holder_is_told_and_nobody_after(token, fork):
    with inherited(token, 1) as died:
        assert not died
    _dies_with(token, fork)
    with inherited(token, 1) as died:
        assert died and token.holder == os.getpid()
        with pytest.raises(UsageError), inherited(token, 1):
            pass
    with inherited(token, 1) as died:
        assert not died
    with token.held("x", 1):
        pass


def test_one_of_many_inherits_and_they_exclude_each_other(token, words, fork):
    told, inside, met = words

    def inherit():
        with inherited(token, 20) as died:
            atomics.add(met, atomics.add(inside, 1))
            atomics.add(told, died)
            time.sleep(0.005)
            atomics.add(inside, -1)

    for death in range(1, 4):
        _dies_with(token, fork)
        assert [child.join() for child in [fork(inherit) for _ in range(4)]] == [0] * 4
        assert (atomics.load(told), atomics.load(met)) == (death, 0)


def test_the_heir_that_comes_second_leaves_the_first_its_token(token, fork, monkeypatch):
    """Between the sentence that the holder is dead and the swap another heir takes the token, and keeps it."""
    _dies_with(token, fork)
    first, acquire = [], token.acquire

    def inherit():
        with inherited(Token(token.address), 1):
            time.sleep(20)

    def late(**asked):
        try:
            acquire(**asked)
        except DeadHolder:
            first.append(fork(inherit))
            deadline = time.monotonic() + 20
            while token.holder != first[0].pid:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            raise

    monkeypatch.setattr(token, "acquire", late)
    with pytest.raises(WaitTimeout) as raised, inherited(token, 0.2):
        pass
    assert f"which process {first[0].pid} of this node holds" in str(raised.value) and token.holder == first[0].pid
    assert len(first) == 1
