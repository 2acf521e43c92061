"""An alarm's TimeoutError, or another OSError of a signal's handler: its program gets it as it is, and no disk is taken for one that has failed."""
import gc
import signal
import sys
import weakref

import numpy as np
import pytest
from harness.interrupting import Interrupted, interrupted_at, interrupted_behind_any_call

from wrp.comm import memory
from wrp.comm.ranks.solo import Solo
from wrp.cte import Store
from wrp.cte.arrays import get_array, put_array
from wrp.cte.direct.direct import Direct
from wrp.errors import Corrupt, NoSuchBlob, OutOfSpace, StoreError, UsageError
from wrp.runtime.config import load


class Alarm(Interrupted, TimeoutError):
    pass


class Told(Interrupted, StoreError):
    def __init__(self):
        super().__init__("a handler says so")


def comes_out(step, work, error):
    """False when the work has fewer steps, from 2; the handler's error came out else, and no other, unless Python has dropped it, as in a generator that ends."""
    came, dropped = [], []

    def call():
        try:
            work()
        except error:
            came.append(step)
            raise
    gc.disable()            # Python drops what is raised in the finalizers of what it collects
    try:
        goes_on = interrupted_at(step, call, error, dropped)
    finally:
        gc.enable()
    assert goes_on == bool(came or dropped), f"what the handler raised at step {step} was swallowed"
    return goes_on


@pytest.mark.parametrize("error", [Alarm, Told])
def test_what_a_handler_raises_in_a_flush_comes_out_of_it(error, tmp_path):
    with Store.open(tmp_path / "store", Solo()) as store:
        def puts(step):
            store.put("t", "long", bytes([step % 256]) * 300_000), store.put("t", "short", b"s" * 100)
        for turn in range(2):
            puts(turn), store.flush()           # kernels are there
        step = 2
        while comes_out(step, store.flush, error):
            step += 5
            puts(step)
        assert step > 50
    with Store.open(tmp_path / "store", Solo(), write=False) as store:
        assert store.get("t", "long") == bytes([step % 256]) * 300_000


@pytest.mark.parametrize("error", [Alarm, Told])
def test_what_a_handler_raises_in_a_get_from_a_file_comes_out_of_it(error, tmp_path):
    with Store.open(tmp_path / "store", Solo()) as store:
        store.put("t", "long", b"l" * 300_000)
    with Store.open(tmp_path / "store", Solo()) as store:
        assert store.get("t", "long", 5, 100) == b"l" * 100
        step = 2
        while comes_out(step, lambda: store.get("t", "long", 5, 100), error):
            step += 1
        assert step > 20 and store.get("t", "long") == b"l" * 300_000


def test_no_member_of_a_safe_target_is_lost_by_an_alarm(tmp_path):
    config = tmp_path / "conf.yaml"
    config.write_text("storage: [{path: 'ram::test', bdev_type: ram, capacity_limit: 16m}, "
                      f"{{bdev_type: safe, path: kept, members: [{tmp_path}/a, {tmp_path}/b, {tmp_path}/c], capacity_limit: 64m}}]\n")
    with Store.open(tmp_path / "store", Solo(), load(config)) as store:
        step = 1
        store.put("t", "b", b"x" * 300_000), store.flush()
        store.put("t", "b", b"y" * 300_000)
        while interrupted_behind_any_call(step, store.flush, "devices/safe", Alarm):
            step += 23
            store.put("t", "b", bytes([step % 256]) * 300_000)
        assert step > 100 and not any(target.failed for target in store.targets())


def test_what_a_handler_raises_is_not_taken_for_memory_without_an_end():
    step = 2
    while comes_out(step, memory.available, Alarm):
        step += 1
    assert step > 10


class Full(Interrupted, OutOfSpace):
    def __init__(self):
        super().__init__("no room for what the handler puts")


class Damaged(Interrupted, Corrupt):
    def __init__(self):
        super().__init__("what the handler gets has changed")


class Nested(Interrupted, UsageError):
    def __init__(self):
        super().__init__("the handler's call would wait for the one that it has interrupted")


_SMALL, _LARGE = b"s" * 1000, b"l" * 300_000


def _put(store):
    store.put("t", "small", _SMALL, min_persistence="only volatile"), store.put("t", "large", _LARGE)


def _edit(store):
    store.put("t", "small", b"r" * 400, 30), store.truncate("t", "large", 100_000)


def _zip(store):
    store.put("t", "zipped", _LARGE, compression="zlib"), store.put("t", "zipped", b"abc", 100)


def _many(store):
    store.put_many("t", ["m1", "m2"], np.zeros((2, 2000), np.uint8))


def _move(store):
    store.put("t", "moved", _LARGE), store.move("t", "moved", "file"), store.move("t", "moved", "ram")


def _batch(store):
    with store.batch("a batch") as batch:
        batch.put("t", "batched", _LARGE), batch.put("t", "batched too", _SMALL)


def _array(store):
    put_array(store, "a", np.arange(12).reshape(3, 4))
    assert get_array(store, "a", (1, 1), (2, 2)).tolist() == [[5, 6], [9, 10]]


def _destroy(store):
    store.put("d", "b", _SMALL), store.destroy("d")


@pytest.mark.parametrize("error", [Full, Damaged, Nested])
@pytest.mark.parametrize("call, stride", [(_put, 2), (_edit, 7), (_zip, 7), (_many, 1), (_move, 17), (_batch, 7), (_array, 11), (_destroy, 5)], ids=lambda each: getattr(each, "__name__", ""))
def test_what_a_handler_s_own_call_is_refused_with_is_never_taken_for_a_refusal_of_what_it_interrupts(call, stride, error, tmp_path):
    """A handler that puts where there is no room, gets what is damaged, or calls in the middle of a call, and lets that error out: its program gets that error."""
    with Store.open(tmp_path / "store" if call is _move else None, Solo()) as store:
        for _ in range(3):
            _put(store), call(store)
        step = 2
        while comes_out(step, lambda: call(store), error):
            step += stride
            _put(store)
        assert step > 10 * stride


def test_a_handler_that_has_no_room_for_its_put_says_so_in_the_middle_of_one_that_has(configured):
    """Not at a step that is counted: the handler's own put fails, in the same functions as that which it interrupts would."""
    def handler(*_):
        store.put("h", "own", bytes(16 << 20))

    def comes(frame, event, called):
        if event == "c_return" and called is id and frame.f_code is Direct._put_run.__code__:       # behind its lease
            sys.setprofile(None)
            signal.raise_signal(signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with Store.open(None, Solo(), configured(ram="8m", file="8m")) as store:
            _put(store)
            remaining = [target.remaining for target in store.targets()]
            sys.setprofile(comes)
            try:
                with pytest.raises(OutOfSpace, match="blob 'own'"):
                    store.put("t", "large", b"m" * 300_000)
            finally:
                sys.setprofile(None)
            assert store.get("t", "large") == _LARGE
            store.put("t", "small", _SMALL)
            assert [target.remaining for target in store.targets()] == remaining
    finally:
        signal.signal(signal.SIGALRM, before)


class _Own(Store):
    """A class of a user in front of the store's."""

    comes_before_the_next = None

    def get(self, tag, blob, *args, **options):
        if blob != "array" and (come := self.comes_before_the_next) is not None:
            self.comes_before_the_next = None
            come()
        return super().get(tag, blob, *args, **options)


def test_a_refusal_that_comes_through_a_class_of_a_user_is_no_handler_s():
    with _Own.open(None, Solo()) as store:
        put_array(store, "a", np.zeros(4))
        store.comes_before_the_next = lambda: put_array(store, "a", np.ones(4))
        assert get_array(store, "a").tolist() == [1] * 4        # begins anew: the block that it was about to read has gone
        store.put("t", "b", b"no array")
        with pytest.raises(NoSuchBlob, match="tag 't' holds no array: it has no blob 'array'"):
            get_array(store, "t")


def test_what_a_handler_raises_goes_with_all_that_its_frames_hold():
    """Without the collector, which may come much later."""
    raised = []

    def comes(frame, event, called):
        if event == "c_return" and called is id and frame.f_code is Direct._put_run.__code__:       # where an error of this kind may be a refusal
            sys.setprofile(None)
            error = Full()
            raised.append(weakref.ref(error))
            try:
                raise error
            finally:
                del error
    with Store.open(None, Solo()) as store:
        _put(store)
        gc.disable()
        sys.setprofile(comes)
        try:
            try:
                store.put("t", "large", _LARGE)
            except Full:
                pass
            assert [each() for each in raised] == [None]
        finally:
            sys.setprofile(None)
            gc.enable()
