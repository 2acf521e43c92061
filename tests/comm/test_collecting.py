"""Collections that are held off: none begins in any thread, and what was on is on again."""

import gc
import threading

from wrp.comm.collecting import held_off


class _Cycle:
    gone = 0

    def __init__(self):
        self.self = self

    def __del__(self):
        _Cycle.gone += 1


def _make():
    for _ in range(10 * gc.get_threshold()[0]):
        _Cycle()


def _make_in_a_thread():
    thread = threading.Thread(target=_make)
    thread.start()
    thread.join()


def test_none_begins_in_any_thread_and_then_they_do_again():
    gc.collect()
    _Cycle.gone = 0
    with held_off():
        _make_in_a_thread()
        with held_off():
            _make()
        _make()
        assert _Cycle.gone == 0 and not gc.isenabled()
    assert gc.isenabled()
    _make_in_a_thread()
    assert _Cycle.gone > 0
    gc.collect()


def test_one_of_another_thread_has_ended_first():
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        def __init__(self):
            self.self = self

        def __del__(self):
            begun.set()
            go_on.wait(30)

    def collect():
        Slow()
        gc.collect()
        done.append(True)
    done, was_done = [], []
    thread = threading.Thread(target=collect)
    thread.start()
    assert begun.wait(30)
    threading.Timer(0.2, go_on.set).start()
    with held_off():
        was_done.append(go_on.is_set())
    thread.join()
    assert was_done == [True] and done == [True]


def test_what_was_off_stays_off():
    gc.disable()
    try:
        with held_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
