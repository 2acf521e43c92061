"""Link: a process's way to the store of one daemon: questions and answers in memory that it has leased. Which calls there are is attached.py's."""

from collections import deque
from contextlib import contextmanager, suppress
from threading import Lock

from wrp.comm.fresh import fresh_bytes
from wrp.cte.served import place, wire
from wrp.cte.served.calls import BY_ALL
from wrp.cte.served.ends import Gone, Late
from wrp.cte.served.lost import MAKES, made_by
from wrp.cte.served.serving import ASK, ASK_ALL, BYTES, DROP, ERROR, FILL, MORE, WAIT
from wrp.cte.served.slips import LARGE, SMALL, Slips
from wrp.errors import RuntimeGone, StoreError, WaitTimeout, WrpError
from wrp.runtime import tasks
from wrp.runtime.daemon import processes
from wrp.runtime.daemon.reattaching import never_ran
from wrp.runtime.routing import PoolQuery


class Link:
    """Any thread. `attached`: the Attached whose daemon it is. Raises StoreError where that serves no store."""

    def __init__(self, attached):
        self.attached, self._owner = attached, processes.identity()
        name = place.told(attached.segment)
        if name is None:
            raise StoreError(f"the daemon {attached.name!r} serves no store: start it with an entry of the module wrp_cte_core under `compose` in its configuration")
        pool = attached.pool(name)
        # one rank for all that this process asks: it flushes what the process has put
        self._pool = pool.towards(PoolQuery.direct_id(pool.containers.first_on(attached.number) + self._owner % attached.about.local_size))
        self._slips, self.forsaken = Slips(attached, self._pool, self.forsake), deque()        # stashes of which the daemon is to be told so
        self.begun = set()                      # stashes that are shares of batches
        self._telling = Lock()

    def ask(self, call, args, options=None, parts=(), out=None, room=SMALL):
        """The value of a call of the daemon's Store; raises what it raises there. A blob's bytes come into `out`, if that is there: how many they are.

        parts : [memoryview of bytes] that the wire's Parts among the arguments stand for; room : bytes that an answer may have without being a long one
        """
        head = wire.question_of(call, args, options or {})
        nbytes, method = sum(map(len, parts)), ASK_ALL if call in BY_ALL else ASK
        size = SMALL if max(len(head) + nbytes, room if out is None else len(out)) <= SMALL else LARGE
        stash = answer = None
        if self.forsaken:
            self._tell()
        try:
            if len(head) + nbytes > LARGE:
                size, stash = LARGE, self._filled("buffer", [len(head) + nbytes], [head, *parts])
            with self._slips.taken(size, call) as slip:
                if stash is None:
                    _lay(slip, [head, *parts])
                answer = self._answer(slip, out, self._call(method, slip.place, len(head), nbytes, size, stash or 0, self._owner))
            return _told(answer)
        except BaseException:               # a handler of a signal may raise one at any step: nobody knows these stashes then
            if stash is not None:
                self.forsake(stash)
            if call in MAKES and answer is not None and not isinstance(answer, Exception):
                self.forsake(made_by(call, answer))
            raise

    def wait(self, tag, blob, timeout_s):
        """`ask` of a wait for a blob."""
        head = wire.question_of("wait", [tag, blob, timeout_s], {})
        limit_s = self.attached.timeout_s + (self.attached.timeout_s if timeout_s is None else max(0.0, timeout_s))
        with self._slips.taken(SMALL, "wait") as slip:
            _lay(slip, [head])
            answer = self._answer(slip, None, self._call(WAIT, slip.place, len(head), SMALL, self._owner, timeout_s=limit_s))
        return _told(answer)

    def put_whole(self, tag, blob, view, score):
        """Put a long blob, whose bytes come straight to where they stay."""
        stash = self._filled("reserve", [len(view), tag, blob, score], [view])
        try:
            self.ask("commit", [stash])
        except BaseException:
            self.forsake(stash)
            raise

    def forsake(self, stash):
        """Nobody wants a stash any more."""
        self.forsaken.append(stash)
        self._tell()

    def _tell(self):
        if self._telling.locked():
            return                          # another thread does so
        with self._telling, suppress(WrpError):
            while self.forsaken:
                self._pool.post(DROP, self.forsaken[0])
                self.forsaken.popleft()

    def close(self, is_last):
        """Give up batches that aren't committed and, unless `is_last`, the memory for calls; what is left of that goes when the process leaves the daemon."""
        self._slips.rest()
        self.forsaken.extend(self.begun)
        self._tell()
        if not is_last:
            with suppress(WrpError):
                self._slips.close()

    # pieces

    def _filled(self, call, args, parts):
        """Number of a stash that `call` makes, with the bytes of all parts. Nothing is done yet by that."""
        stash, start = None, 0
        try:
            stash = self.ask(call, args)
            for part in parts:
                self._fill(stash, memoryview(part), start)
                start += len(part)
        except RuntimeGone as error:
            raise Gone(str(error)) from error
        except BaseException as error:
            if stash is not None:
                self.forsake(stash)
            if isinstance(error, Late):         # what was to be done with it wasn't even asked for
                raise WaitTimeout(str(error)) from error
            raise
        return stash

    def _fill(self, stash, view, start):
        """Bytes from `start` of the stash on are those of `view`: one piece is copied here while the one before is there."""
        with self._slips.taken(LARGE) as first, self._slips.spare() as second:
            slips, under_way = _large(first, second), None
            for number, at in enumerate(range(0, len(view), LARGE)):
                slip, piece = slips[number % len(slips)], view[at:at + LARGE]
                if len(slips) == 1 and under_way is not None:
                    self._moved(under_way)
                    under_way = None
                slip.write(0, piece)
                future = self._submit(FILL, slip.place, len(piece), stash, start + at)
                if under_way is not None:
                    self._moved(under_way)
                under_way = future
            if under_way is not None:
                self._moved(under_way)

    def _fetch(self, stash, out, slip):
        """Fill `out` from a stash, which isn't kept any more then; the same the other way. `slip`: the caller's, which may be written to."""
        with self._dropped(stash), self._slips.spare() as one, self._slips.spare(slip.nbytes < LARGE) as other:
            slips = _large(slip, one, other)
            size = slips[0].nbytes
            places = range(0, len(out), size)

            def asked(number):
                return self._submit(MORE, slips[number % len(slips)].place, min(size, len(out) - places[number]), stash, places[number]) if number < len(places) else None
            under_way = asked(0)
            for number, at in enumerate(places):
                self._moved(under_way)
                under_way = asked(number + 1) if len(slips) > 1 else None
                slips[number % len(slips)].read(out[at:at + size])
                under_way = under_way or asked(number + 1)

    @contextmanager
    def _dropped(self, stash):
        """Nobody wants a stash any more after the block."""
        try:
            yield
        finally:
            self.forsake(stash)

    def _answer(self, slip, out, answer):
        """What an answer says, which is (kind, bytes, the stash that has them where they are more than the slip); an error as a value, since the slip is free again."""
        kind, nbytes, stash = answer
        if kind == BYTES and out is None and not stash:
            return bytes(slip.view[:nbytes])
        data = out[:nbytes] if kind == BYTES and out is not None else memoryview(fresh_bytes(nbytes)[0] if kind == BYTES else bytearray(nbytes))
        if stash:
            try:
                self._fetch(stash, data, slip)
            except Gone as error:           # the answer is lost, what was asked was done
                raise RuntimeGone(str(error)) from error
        else:
            slip.read(data)
        if kind == ERROR:
            error = wire.error_in(data.obj)
            return Gone(str(error)) if isinstance(error, RuntimeGone) else error    # it ends, and takes no more
        return wire.value_of(data.obj) if kind != BYTES else nbytes if out is not None else data.obj

    # tasks

    def _call(self, method, *args, timeout_s=None):
        return self._reply(self._submit(method, *args), timeout_s)[:3]

    def _moved(self, future):
        """Wait for a piece that goes or comes. Gone when the daemon ends before that."""
        if self._reply(future)[0] == ERROR:
            raise Gone(f"the daemon {self.attached.name!r} ends: its store takes no more calls")

    def _submit(self, method, *args):
        try:
            return self._pool.submit(method, *args)
        except RuntimeGone as error:
            raise Gone(str(error)) from error

    def _reply(self, future, timeout_s=None):
        offset = future.offset
        try:
            reply = future.wait(timeout_s)
        except RuntimeGone as error:
            if never_ran(self.attached, future, offset):
                raise Gone(str(error)) from error
            raise
        except WaitTimeout as error:
            raise Late(str(error)) from error
        if reply.code == tasks.CANCELLED:
            raise RuntimeGone(f"the daemon {self.attached.name!r} ended before it had an answer")
        if reply.code:
            raise WrpError(f"the daemon {self.attached.name!r} couldn't answer: code {reply.code}, {reply.meaning or 'see its messages'}")
        return reply.values


def _told(answer):
    """The value; an error is raised."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def _large(slip, *spares):
    """Two Slips of LARGE bytes, of which one is filled while the other one travels; else the one that there is."""
    return [each for each in (slip, *spares) if each is not None and each.nbytes == LARGE][:2] or [slip]


def _lay(slip, parts):
    at = 0
    for part in parts:
        slip.write(at, part)
        at += len(part)
