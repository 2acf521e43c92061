"""An alarm's TimeoutError, or another OSError of a signal's handler: its program gets it as it is, and no disk is taken for one that has failed."""
import gc

import pytest
from harness.interrupting import Interrupted, interrupted_at, interrupted_behind_any_call

from wrp.comm import memory
from wrp.comm.ranks.solo import Solo
from wrp.cte import Store
from wrp.errors import StoreError
from wrp.runtime.config import load


class Alarm(Interrupted, TimeoutError):
    pass


class Told(Interrupted, StoreError):
    def __init__(self):
        super().__init__("a handler says so")


def comes_out(step, work, error):
    """False when the work has fewer steps, from 2; the handler's error came out else, and no other."""
    came = []

    def call():
        try:
            work()
        except error:
            came.append(step)
            raise
    gc.disable()            # Python drops what is raised in the finalizers of what it collects
    try:
        goes_on = interrupted_at(step, call, error)
    finally:
        gc.enable()
    assert goes_on == bool(came), f"what the handler raised at step {step} was swallowed"
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
