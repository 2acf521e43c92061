"""Postman: the loop of the thread that moves tasks between this node and the others. For what it has under way see its neighbours."""

import logging
import time
from collections import deque
from functools import partial

from wrp.comm import atomics
from wrp.comm.mailbox import POLL_NS, REPLIES, TASKS
from wrp.comm.shipments import MANY
from wrp.runtime import lanes, tasks
from wrp.runtime.future import NO_POOL
from wrp.runtime.joint import aggregate_of
from wrp.runtime.postman.desk import WORKED, post_finish
from wrp.runtime.postman.fan import Fan
from wrp.runtime.postman.far import Far
from wrp.runtime.postman.joins import FAILED, Joins
from wrp.runtime.postman.meets import Meets
from wrp.runtime.postman.plain import Plain
from wrp.runtime.postman.serving import Serving
from wrp.runtime.postman.work import CANCEL, MEET, PING, RING, Work
from wrp.runtime.routing.address import is_far, unpack

_AT_ONCE = 64                   # tasks, or letters of a box, taken before something else
_LOOK_S = 0.002                 # between two looks for a pool that isn't there yet
_LISTEN_NS, _KNOCK_NS, _BURST = 200_000, 1_000_000, 50
_HEAD = tasks.CANCEL // 8 + 1   # words of a record that are looked at
_POOL, _METHOD, _COUNT, _ARGS, _DUE, _CANCEL = (word // 8 for word in (tasks.POOL, tasks.METHOD, tasks.COUNT, tasks.ARGS, tasks.DUE, tasks.CANCEL))
_log = logging.getLogger("wrp.runtime")


class Postman:
    """A callable for the thread of a lane. `mail`: Mailboxes, `notes`: Notes, `modules`: class of a user's module by its pool's slot."""

    def __init__(self, node, window, mail, notes, config, modules):
        self._node, self._window, self._mail, self._notes, self._modules = node, window, mail, notes, modules
        self._shipments = window.shipments
        lane_offset = node.layout.lane(node.layout.postman)
        self._base, self._free, self._lane = node.address, node.address + node.layout.free, node.address + lane_offset
        buffer = node.segment.buffer
        self._words = buffer[:len(buffer) // 8 * 8].cast("q")
        self._neighborhood = config.get("networking.neighborhood_size")
        naps = (1000 * config.get(f"networking.{key}") for key in ("busy_wait", "longest_nap"))
        self._net_timeout_s = config.get("networking.net_timeout")
        self._plain = Plain(node, lane_offset, mail, notes, *naps)
        self._serving = Serving(node, lane_offset, self._plain.finished if self._plain.is_quick else None)
        self._far = Far(mail, self._plain, window.host, self._net_timeout_s)
        self._joins = Joins(node.number, self.run)
        self._own, self._theirs = {}, {}            # handles of tasks of this node by record, of others by (node, number)
        self._early = deque()                       # tasks for pools that aren't there yet
        self._meets = Meets(node, self._slot, self._plain.holder, self._net_timeout_s)
        self._slots, self._rings = {}, deque()
        self._listen_ns = self._knocked_ns = 0
        self.on_ring = lambda: None

    def __call__(self):
        while True:
            worked = self._turn()
            if self._ship() >= MANY:
                self._plain.rest()
            elif worked:
                self._plain.touch()
            elif atomics.load(self._lane + lanes.STOP) == 1:
                break
            elif not (self._plain.is_quick and self._is_calm):      # else the kernel has paused
                self._plain.slow(self._is_slow)
                self._plain.pause()
        self._far.end_all()

    def serve_inline(self, context, lane, shorts):
        """Before it runs: the context of the worker of this rank, whose short tasks it may run, and the number of its lane. `shorts`: int64
        array, see `modules.shorts_of`, by the pool's slot."""
        self._plain.serve_inline(context, lane, shorts)

    def rest(self):
        """See `Plain.rest`."""
        self._plain.rest()

    @property
    def driver(self):
        """See `asking`; 0 where it isn't to be had."""
        return self._plain.driver

    def ring(self, node):
        """Have `on_ring` called at another node. Any thread."""
        self._rings.append(node)
        self._plain.ring()
        lanes.lane_wake(self._lane)

    def close(self):
        """Let go of the segment, when no other node sends any more. Local."""
        self._notes.close()
        self._words.release()
        self._mail.close()

    def _turn(self):
        """One look at everything: True if anything was done."""
        worked, come = self._look_quickly() if self._plain.is_quick else self._look()
        worked |= self._serving.turn()
        self._plain.rung()
        while self._rings:
            self._far.ring(self._rings.popleft())
        for node, box in come:
            worked |= self._read(node, box)
        note = self._plain.note()
        if note is not None:
            worked = True
            self._far.hear(note[1])
            self._meets.take(note)
        self._look_early()
        self._meets.turn()
        worked |= self._joins.turn()
        worked |= self._far.turn()
        self._mail.send()
        return worked

    def _ship(self):
        """Send bytes that others have asked for: how many have begun to go."""
        self._shipments.turn()
        return self._shipments.serve()

    def _look_quickly(self):
        """(whether anything was done, where letters are for Python) by the kernel, which stays while nothing here waits."""
        self._plain.slow(self._is_slow)
        bits = self._plain.turn(self._is_calm)
        offset = self._plain.task()
        if offset >= 0:
            self._take(offset)
        return bits & WORKED > 0, self._plain.letters()

    @property
    def _is_slow(self):
        """True while something waits here that no plain task may overtake."""
        return not (self._serving.is_calm and self._far.is_calm) or len(self._early) > 0

    @property
    def _is_calm(self):
        """True while nothing here waits for a clock or for room."""
        return self._joins.is_calm and self._meets.is_calm and not self._is_slow

    def _look(self):
        worked = False
        for _ in range(_AT_ONCE):
            offset = lanes.lane_poll(self._lane)
            if offset < 0:
                break
            worked = True
            self._take(offset)
        return worked | self._progress(), self._mail.arrived()

    def _progress(self):
        """Let MPI move what others ask of this node: True if one of them has knocked, or waits. Who moves many bytes needs MPI called more
        often than everything else is looked at."""
        now_ns, knocked = time.monotonic_ns(), False
        if now_ns >= self._listen_ns:
            self._listen_ns, knocked = now_ns + _LISTEN_NS, self._mail.knocked()
            if knocked:
                self._knocked_ns = now_ns
        is_polled = now_ns - self._knocked_ns < POLL_NS and self._mail.waited_for
        self._window.progress(_BURST if is_polled or now_ns - self._knocked_ns < _KNOCK_NS else 1)
        return knocked or is_polled

    # tasks of this node

    def _take(self, offset):
        """A task that has just come in, or word that one is to be cancelled (its offset + 1)."""
        atomics.add(self._lane + lanes.DONE, 1)     # its way is no work of this node: a flush doesn't wait for other nodes
        if offset & 1:
            own = self._own.get(offset - 1)
            plain = None if own is not None else self._plain.sent(offset - 1)
            if own is not None:
                own.cancel()
            elif plain is not None:
                self._far.cancel_number(*plain)
            return
        at = offset // 8
        words = self._words[at:at + _HEAD].tolist()
        if words[_CANCEL] or words[_DUE] and time.monotonic_ns() >= words[_DUE]:
            self._finish(offset, tasks.CANCELLED if words[_CANCEL] else tasks.DEADLINE, ())
            return
        if not is_far(words[_POOL]):
            self._announce(words)
            self._finish(offset, 0, ())
            return
        slot, first, count, net_timeout_s, joins = unpack(words[_POOL])
        join = tuple(self._words[(offset + tasks.LOCALS) // 8:][:2].tolist()) if joins else None
        work = Work(self._node.table.key(slot), first, count, words[_METHOD], tuple(words[_ARGS:_ARGS + words[_COUNT]]), words[_DUE],
                    net_timeout_s, join, self._node.number)
        self._own[offset] = handle = _Handle()
        handle.attach(self._guarded(work, partial(self._finish, offset)))

    def _announce(self, words):
        """Tell all other nodes of a participant of a meeting, see `rooms.tell`."""
        key, number, which, who, value, timeout = words[_ARGS:_ARGS + tasks.ARGUMENTS]
        letter = (MEET, 0, *self._node.table.key(words[_POOL]), words[_METHOD], key, number, which, who >> 32, who & 0xFFFFFFFF, value, timeout)
        self._far.tell_all(letter)

    def _finish(self, offset, code, values):
        self._own.pop(offset, None)
        post_finish(self._base, self._free, offset, code, *(*values, 0, 0, 0, 0)[:4])

    # tasks of other nodes

    def _read(self, node, box):
        """Take some letters: True if there was one."""
        count = 0
        while count < _AT_ONCE and not (box == TASKS and self._is_full()):
            words = self._mail.look(node, box)
            if words is None:
                break
            self._mail.drop(node, box)
            count += 1
            self._far.hear(node)
            if box == REPLIES:
                self._far.take(node, words)
            elif words[0] == PING:
                self._far.pong(node)
            elif words[0] == RING:
                self.on_ring()
            elif words[0] == MEET:
                self._meets.take(words)
            elif words[0] == CANCEL:
                theirs = self._theirs.get((node, words[1]))
                if theirs is not None:
                    theirs.cancel()
                else:
                    self._cancel_plain(node, words[1])
            else:
                number, work = Work.read(words, node)
                self._theirs[node, number] = handle = _Handle()
                handle.attach(self._guarded(work, partial(self._answer, node, number)))
        return count > 0

    def _cancel_plain(self, node, number):
        offset = self._plain.served(node, number)
        if offset is not None:
            self._serving.cancel_record(offset, atomics.load(self._base + offset + tasks.POOL))

    def _is_full(self):
        return self._serving.is_full or len(self._early) >= _AT_ONCE

    def _answer(self, node, number, code, values):
        self._theirs.pop((node, number), None)
        self._far.answer(node, number, code, values)

    # any task

    def _guarded(self, work, done):
        try:
            return self.run(work, done)
        except Exception:
            _log.exception("the postman can't bring a task of method %d on its way", work.method)
            done(FAILED, ())
            return None

    def run(self, work, done):
        """Bring `work` to its containers; `done(code, values)` once, maybe at once: what can be cancelled."""
        slot = self._slot(work.key)
        if slot is None:
            early = _Early(work, done, time.monotonic() + (work.net_timeout_s or self._net_timeout_s))
            self._early.append(early)
            return early
        if work.count > 1:
            return Fan(work, done, self._run_piece, aggregate_of(self._modules.get(slot.number), work.method), self._neighborhood)
        node, number = self._place(slot, work)
        if node != self._node.number:
            return self._far.start(node, work, done)
        if work.join is not None:
            return self._joins.start(work, slot, self._modules.get(slot.number), done)
        return self._serving.start(work, number, done)

    def _place(self, slot, work):
        """(node, number of its slot there) of a task's container. Where tasks meet to become one, and what workers ask each other, stays where it was made."""
        if work.join is None and work.method >= 0:
            moved = self._node.table.moved(slot.number, work.first)
            if moved is not None:
                return moved
        node, shard = slot.containers.place(work.first)
        return node, slot.number + shard

    def _run_piece(self, work, done):
        """A piece of several containers goes to the node of its first one, which splits it again."""
        slot = self._slot(work.key)
        node, _ = slot.containers.place(work.first)
        if work.count == 1 or node == self._node.number:
            return self.run(work, done)
        return self._far.start(node, work, done)

    def _slot(self, key):
        slot = self._slots.get(key)
        if slot is None or self._node.table.key(slot.number) != key:        # else it was removed
            slot = self._node.table.find_key(key)
            if slot is None or not self._node.table.is_ready(slot.number):
                return None
            self._slots[key] = slot
        return slot

    def _look_early(self):
        """Tasks for pools that another node has made a little earlier than this one."""
        if not self._early or time.monotonic() < self._early[0].look_at:
            return
        for _ in range(len(self._early)):
            early = self._early.popleft()
            if early.is_over:
                continue
            early.look_at = time.monotonic() + _LOOK_S
            if self._slot(early.work.key) is not None:
                early.go(self.run)
            elif early.look_at > early.over_at:
                early.end(NO_POOL, ())
            else:
                self._early.append(early)


class _Handle:
    """What can be cancelled, known before it has begun."""

    _inner = None

    def attach(self, inner):
        self._inner = inner

    def cancel(self):
        if self._inner is not None:
            self._inner.cancel()


class _Early:
    """A task whose pool isn't there yet."""

    def __init__(self, work, done, over_at):
        self.work, self._done, self.over_at = work, done, over_at
        self.look_at, self.is_over, self._inner = 0.0, False, None

    def go(self, run):
        self.is_over = True
        self._inner = run(self.work, self._done)

    def cancel(self):
        if self._inner is not None:
            self._inner.cancel()
        elif not self.is_over:
            self.end(tasks.CANCELLED, ())

    def end(self, code, values):
        self.is_over = True
        self._done(code, values)
