"""Calling: how an attached process hands tasks to the workers of a daemon. See queues.py for what crosses the processes."""

from wrp.comm import atomics
from wrp.errors import UsageError, WaitTimeout
from wrp.runtime import clients, lanes, tasks
from wrp.runtime.batch import batch_collect
from wrp.runtime.clients import client_notify, client_submit, client_submit_many
from wrp.runtime.pool import Pool


class AttachedPool(Pool):
    """A pool of the daemon: tasks go through this process's own records and queues."""

    _is_attached = True

    def __init__(self, attached, slot, name, module=None):
        super().__init__(attached, slot, name, module)
        self._places = self._places_of(slot.lane)

    def _places_of(self, lane):
        attached = self._node
        table, base = attached._clients, attached.segment.address
        return (base, attached.about.state_address, base + attached.layout.lane(lane), table.queues(lane), table.queue(attached._slot, lane))

    @property
    def _plain(self):
        return AttachedPool

    def _turned(self, number, lane, join):
        way = super()._turned(number, lane, join)
        way._places = self._places_of(lane)
        return way

    def _push(self, method, count, args, due=0):
        attached = self._node
        try:
            offset = attached._records.popleft()
        except IndexError:
            offset = _again(attached)
        if offset is None:
            return tasks.NO_RECORD
        try:
            self._mark(attached.address + offset)
            with attached._lock:            # a queue has one producer
                code = client_submit(self._places, offset, due, self.number, method, count, *args)
        except BaseException:
            attached._abandoned.append(offset)      # of a signal's handler: handed over or not, it is free once no worker has it
            raise
        if code == clients.GONE:
            attached._records.append(offset)
            attached.check_alive()
        return code

    def _push_many(self, method, words, offsets):
        attached, records = self._node, []
        try:
            for _ in range(len(words)):
                records.append(attached._records.popleft())
        except IndexError:              # all are in use: the next task waits for one
            pass
        if not records:
            return 0
        try:
            offsets[:len(records)] = records
            with attached._lock:
                code = client_submit_many(self._places, offsets[:len(records)], self.number, method, words[:len(records)])
        except BaseException:
            attached._abandoned.extend(records)
            raise
        if code == clients.GONE:
            attached._records.extend(records)
            attached.check_alive()
            return 0
        return code

    def _submit_special(self, method, count, args, timeout_s, kind):
        _, due, period = kind
        if period:
            raise UsageError(f"a periodic task of pool {self.name!r} needs a rank of the runtime: this process is attached and may end before it")
        offset = self._push(method, count, args, due)
        return offset if offset >= 0 else self._later(lambda: self._push(method, count, args, due), method, timeout_s, offset)

    def _try(self, method, count, args, kind):
        return self._submit_special(method, count, args, 0, kind)

    def _notify(self, offset):
        with self._node._lock:
            return client_notify(self._places, offset)

    def _refuse_late(self, watch, method, timeout_s, offset):
        if watch.is_over():
            timeout_s = self._node.timeout_s if timeout_s is None else timeout_s
            raise WaitTimeout(f"method {method} of pool {self.name!r} found no room for {timeout_s:g} s: this process has {clients.RECORDS} tasks "
                              f"that {self._worker()} or others run, or whose replies nobody has taken; submit fewer at once")
        super()._refuse_late(watch, method, timeout_s, offset)

    def _free_record(self, offset):
        self._node._records.append(offset)

    def _collect_many(self, offsets, out):
        batch_collect(self._node.address, 0, offsets, out)
        self._node._records.extend(offsets.tolist())

    def _abandon_record(self, offset):
        self._node._abandoned.append(offset)

    def _check_worker(self, method):
        # a daemon that stops still does the tasks that it has
        if atomics.load(self._lane + lanes.ENDED) == 1 or not self._node.about.is_alive():
            raise self._node.gone(self._worker())


def _again(attached):
    """A record whose caller gave up and whose task is done by now, or None."""
    found, abandoned = None, attached._abandoned
    try:
        for _ in range(len(abandoned)):
            found = abandoned[0]
            del abandoned[0]            # no calls since the look: nobody else has it now, no other thread, no handler of a signal
            if atomics.load(attached.address + found + tasks.STATE) in (0, tasks.DONE):      # 0: it was never used
                return found
            kept, found = found, None               # an error of a handler comes after a call: then it is there already
            abandoned.append(kept)
    except IndexError:                              # others have taken the rest
        pass
    except BaseException:
        if found is not None:
            abandoned.append(found)
        raise
    return None
