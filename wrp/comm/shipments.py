"""Shipments: long ranges of a node's segment, sent by its first rank to who asks. Knows no window, and nothing of what the bytes are.

A one-sided get of many bytes moves in small pieces, each of which waits until both sides call MPI again: over TCP it took four times as long as a message, and
on one machine twice as long where others want the cores, too. A message of this length is moved at once.
"""

import itertools

import numpy as np

from wrp.comm.turn import Turn
from wrp.errors import WaitTimeout

_ASK, _TAGS = 1, 30_000         # tag of a question; tags of answers begin above it
_WORDS = 3                      # of a question for each range: offset, bytes, tag of the answer
MANY = 16 << 20                 # bytes that take so long that a nap is none the worse for them


class Shipments:
    """Over `ranks`, all ranks of a job; making and `free` are collective. `segment`: of this node.

    ask, forsake : of any rank and thread; `serve` and `turn`: of one thread of a node's first rank, which calls MPI often
    """

    def __init__(self, ranks, segment):
        from mpi4py import MPI
        self._byte, self._error, self._status = MPI.BYTE, MPI.Exception, MPI.Status()
        self._comm, self._segment = ranks.comm.Dup(), segment
        self._numbers, self._lock = itertools.count(), Turn()
        self._questions, self._under_way, self._dead = [], [], set()
        self._open, self._forsaken = {}, []         # {(rank, tag): _Asked} of what was asked and hasn't come; what nobody waits for of that

    def ask(self, rank, ranges):
        """Have the first rank of a node send bytes: `ranges` of (offset, array of uint8), for each of which there is a request that is done when its array is filled.
        The caller has checked the ranges, and knocks. Nothing touches an array but its `Test()`: what comes from the same machine is copied there, by the thread
        that calls it. Raises WaitTimeout when too much that was asked of that rank has never come."""
        self._take_forsaken()
        tags = self._tags(rank, len(ranges))
        question = np.array([(offset, array.nbytes, tag) for (offset, array), tag in zip(ranges, tags)], np.int64)
        sent = []
        asked = [_Asked(self._comm, [array, self._byte], rank, tag, self._open, sent, question if tag == tags[0] else None) for (_, array), tag in zip(ranges, tags)]
        self._open.update(((rank, tag), each) for tag, each in zip(tags, asked))
        asked[0].ask()
        return asked

    def forsake(self, requests):
        """Nobody waits for these any more: what comes for one of `ask` goes nowhere. Returns the others."""
        with self._lock.of("what nodes were asked for"):
            self._forsaken += [each for each in requests if isinstance(each, _Asked) and each.forsake()]
        return [each for each in requests if not isinstance(each, _Asked)]

    def serve(self):
        """Begin to send what was asked for since: how many bytes."""
        while (rank := self._has_come()) is not None:
            question = np.empty((self._status.Get_count(self._byte) // (8 * _WORDS), _WORDS), np.int64)
            try:
                self._questions.append((self._comm.Irecv(question, rank, _ASK), rank, question))
            except self._error:             # who asked has died
                self._dead.add(rank)
        if not self._questions:
            return 0
        before = len(self._under_way)
        self._questions = [each for each in self._questions if not self._is_heard(*each)]
        return sum(data.nbytes for _, data in self._under_way[before:])

    def turn(self):
        """Let go of what has come to whoever asked."""
        self._take_forsaken()
        self._under_way = [each for each in self._under_way if not self._is_over(each[0])]

    @property
    def is_idle(self):
        """True when nothing is on its way: MPI looks at no memory of this node for it any more. Whoever has asked doesn't wait any more."""
        self.forsake([each for each in list(self._open.values()) if each is not None])      # a signal's handler had their call end before it had them
        self.turn()
        return not (self._questions or self._under_way or self._forsaken)

    def free(self):
        """When every rank `is_idle`, and nobody waits. Collective."""
        self._segment = None
        self._comm.Free()

    def _tags(self, rank, count):
        """Such that no answer of this rank may still come with: it would be taken for another's."""
        with self._lock.of("what nodes were asked for"):
            numbers = (_ASK + 1 + number % _TAGS for number in itertools.islice(self._numbers, _TAGS))
            tags = list(itertools.islice((tag for tag in numbers if (rank, tag) not in self._open), count))
            if len(tags) < count:
                raise WaitTimeout(f"{len(self._open)} ranges that nodes were asked for have never come, so that rank {rank} can't be asked for {count} more: "
                                  "see that it lives, and that it polls")
            self._open.update(((rank, tag), None) for tag in tags)
            return tags

    def _take_forsaken(self):
        """Let come what has been sent to who had given up: until then its sender keeps the bytes, and its tag is of no use."""
        if self._forsaken:
            with self._lock.of("what nodes were asked for"):
                self._forsaken = [each for each in self._forsaken if not self._is_over(each)]

    def _has_come(self):
        """The rank whose question is here, what it is like in the status; None: nobody's."""
        try:
            if not self._dead:
                return self._status.Get_source() if self._comm.Iprobe(tag=_ASK, status=self._status) else None
        except self._error:                 # a rank has died: the others are asked one by one
            pass
        return next((rank for rank in range(self._comm.size) if rank not in self._dead and self._comes_from(rank)), None)

    def _comes_from(self, rank):
        try:
            return self._comm.Iprobe(rank, _ASK, self._status)
        except self._error:
            return False

    def _is_heard(self, received, rank, question):
        """True when the bytes are on their way, or will never be."""
        try:
            if not received.Test():
                return False
            for offset, nbytes, tag in question.tolist():
                data = np.frombuffer(self._segment.buffer, np.uint8, nbytes, offset)
                self._under_way.append((self._comm.Isend([data, self._byte], rank, tag), data))
        except self._error:                 # who asked has died
            self._dead.add(rank)
        return True

    def _is_over(self, request):
        try:
            return request.Test()
        except self._error:
            return True


class _Asked:
    """As a request of MPI. The array is given to MPI when the answer has begun to come: not by the thread of somebody else who calls MPI, and not after
    whoever waits has given up. `sent`: a list that has the request of the question once that is on its way; with a `question` it is this one's to send.

    MPI's calls are made in the middle of one of a list: a signal's handler can't come between such a call and its request.
    """

    def __init__(self, comm, place, rank, tag, unanswered, sent, question):
        self._comm, self._place, self._rank, self._tag, self._unanswered = comm, place, rank, tag, unanswered
        self._sent, self._question = sent, question
        self._received, self._is_forsaken = [], False

    def ask(self):
        self._sent.extend(itertools.starmap(self._comm.Isend, [(self._question, self._rank, _ASK)]))

    def Test(self):
        if not self._received:
            if not self._comm.Iprobe(self._rank, self._tag):
                return False
            self._received.extend(itertools.starmap(self._comm.Irecv, [(self._place, self._rank, self._tag)]))
        if not self._received[0].Test() or self._question is not None and not self._sent[0].Test():
            return False
        self._unanswered.pop((self._rank, self._tag), None)
        return True

    def forsake(self):
        """Whoever waited has given up: the answer comes to memory of its own. False when that was said before, or nobody was asked."""
        if self._is_forsaken:
            return False
        self._is_forsaken = True
        if not self._sent:
            self._unanswered.pop((self._rank, self._tag), None)
            return False
        if not self._received:
            array, byte = self._place
            self._place = [np.empty(array.nbytes, np.uint8), byte]
        return True
