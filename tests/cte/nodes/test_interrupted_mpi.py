"""Calls that an error of a signal's handler ends while bytes are on their way to another node, which serves: they have happened or not."""

import signal
import sys
import threading

import pytest
from cte.test_races_mpi import assert_all_space_is_free
from harness.interrupting import Interrupted, interrupted_at, interrupted_behind_any_call

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.folder.replay import read_changes
from wrp.cte.homes import home_of
from wrp.cte.records import BLOB
from wrp.errors import NoSuchTag, OutOfSpace, WrpError

pytestmark = pytest.mark.mpi
_NBYTES = 5_000_000
_SHORTER = 200_000


def test_a_long_put_or_get_between_nodes_that_is_interrupted_leaves_memory_alone():
    ranks = world()
    with Store.open(None, ranks) as store:
        if ranks.rank == 0:
            for number in range(2 * ranks.nodes):       # at home on this node and on others
                blob, step = f"b{number}", 1
                store.put("t", blob, b"0" * _NBYTES)
                while interrupted_at(step, lambda: (store.put("t", blob, bytes([step % 256]) * _NBYTES), store.get("t", blob))):
                    found = store.get("t", blob)
                    assert len(found) == _NBYTES and len(set(found[::1000])) == 1
                    step += 29
                assert step > 29
        ranks.barrier("rank 0 is done")


@pytest.mark.parametrize("is_folder, stride", [(False, 5), (True, 23)])
def test_a_destroy_that_is_interrupted_takes_out_what_the_journal_says_is_gone(shared_folder, is_folder, stride):
    """A folder of two tags, one with another name, which changes what names stand for; or one tag."""
    ranks = world()
    if ranks.nodes == 1:
        pytest.skip("on one node no frame says what is gone; see test_interrupted.py")
    with Store.open(shared_folder, ranks) as store:
        if ranks.rank == 0:
            step = 1
            while _destroyed(store, f"f{step}", is_folder, step):
                step += stride
            assert step > 5 * stride
        ranks.barrier("rank 0 is done")


def _destroyed(store, folder, is_folder, step):
    """Make tags, destroy them, and be interrupted at this step; False when there are fewer. All of it has happened, or nothing."""
    owns = [f"{folder}/a", f"{folder}/b"] if is_folder else [folder]
    for own in owns:
        for n in range(6):
            store.put(own, f"b{n}", b"x" * 1000)
    if is_folder:
        store.alias(owns[0], f"{folder}/c")
    names = store.tags(folder + ".*")
    is_over = not interrupted_at(step, lambda: store.destroy(folder, recursive=is_folder))
    gone = {own for change in read_changes(store._parts.journal.path, whole=False) for own, _ in change.get("gone", ())}
    is_gone = gone.issuperset(owns)
    assert is_gone or gone.isdisjoint(owns)
    assert store.tags(folder + ".*") == ([] if is_gone else names), (step, is_gone)
    assert not is_gone or not any(store._net.everywhere("known_names", owns)), step
    if not is_gone:
        assert all(len(store.list(name)) == 6 for name in names), step
        store.destroy(folder, recursive=is_folder)
    with pytest.raises(NoSuchTag):
        store.destroy(folder, recursive=is_folder)
    return not is_over


def _put(store, names, data):
    store.put("t", names[0], data)


def _into(store, names, data):
    store.put("t", names[0], data, offset=0)


def _compressed(store, names, data):
    store.put("t", names[0], data, compression="zlib")


def _segments(store, names, data):
    store.put_segments("t", names[0], [(0, data), (len(data), data)])


def _append(store, names, data):
    store.put("t", names[0], data)
    store.append("t", names[0], data)


def _reserve(store, names, data):
    with store.reserve("t", names[0], len(data)) as reserved:
        reserved.view[:] = data


def _rename(store, names, data):
    store.put("t", names[0], data)
    store.rename("t", names[0], names[1], replace=True)


def _delete(store, names, data):
    store.put("t", names[0], data)
    store.delete("t", names[0])


@pytest.mark.parametrize("call", [_put, _into, _compressed, _segments, _append, _reserve, _rename, _delete], ids=lambda call: call.__name__.strip("_"))
def test_what_an_interrupted_call_has_leased_on_another_node_is_free_when_all_is_deleted(call, opened):
    ranks = world()
    with opened(None, "targets: {replicas: 1}\n") as store:
        if ranks.rank == 0:
            names = [next(blob for blob in (f"b{number}" for number in range(1000)) if home_of("t", blob, ranks.nodes) == home) for home in (1, 0)]
            for _ in range(2):
                call(store, names, b"\0" * _SHORTER)        # kernels are there, space is where it will be
            step, stride = 1, 17 if call is _put else 61
            while interrupted_at(step, lambda: call(store, names, bytes([step % 256]) * _SHORTER)):
                step += stride
            assert step > 3 * stride
            for _, blob in store.blobs("t"):
                assert len(set(store.get("t", blob)[::1000])) == 1 or call is _append
            store.destroy("t")
        ranks.barrier("all is deleted")
        if ranks.node:
            assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


@pytest.mark.parametrize("what", ["cache: 64m", "replicas: 2"])
def test_what_a_node_keeps_of_another_never_lies_in_free_space(what, opened):
    """Of a get that keeps the bytes, of a put whose keeper is this node. Else the next blob would have the same place."""
    ranks = world()
    with opened(None, f"targets: {{{what}}}\n") as store:
        if ranks.rank == 0:
            blob = next(blob for blob in (f"b{number}" for number in range(1000)) if home_of("t", blob, ranks.nodes) == ranks.nodes - 1)
            cache, tiers, step = store._cache, store._tiers, 1
            device, blocks = (cache._device, 0) if cache is not None else (tiers.device(0), tiers.blocks.unused)
            kept = (cache or store._parts.copies)._catalog

            def put(number):
                store.put("t", blob, bytes([number % 256]) * _SHORTER)

            def call(number):
                return put(number) if cache is None else store.get("t", blob)

            def forget(number):
                store.delete("t", blob) if cache is None else (put(number), cache.drop(cache.find("t", blob)))
            for number in range(3):
                put(number), call(number)
            forget(0)
            while interrupted_behind_any_call(step, lambda: call(step), "cte/catalog.py"):
                assert device.free + blocks + sum(record.size for record in kept.scan(kind=BLOB)) <= device.capacity, step
                put(step), call(step), forget(step)
                step += 1
            assert step > 25
        ranks.barrier("rank 0 is done")


@pytest.mark.parametrize("kind", [WrpError, OutOfSpace])
def test_a_question_that_a_handlers_error_of_wrp_ends_as_it_has_left_is_asked_once_and_no_other_in_its_place(kind):
    """Its home, which is busy meanwhile, looks at it later, when the next question of this rank is there, too."""
    class Handled(Interrupted, kind):
        pass
    ranks = world()
    if ranks.nodes == 1:
        pytest.skip("no other node is asked")
    with Store.open(None, ranks) as store:
        net, goes_on, has_left = store._net, threading.Event(), threading.Event()
        blob = next(blob for blob in (f"b{number}" for number in range(1000)) if home_of("t", blob, ranks.nodes) == 1)
        if ranks.node == 1 and ranks.local_rank == 0:
            exists = net.calls["exists"]
            net.calls["exists"] = lambda *args: (goes_on.wait(30), exists(*args))[1]
        if ranks.rank == 0:
            store.put("t", blob, b"")
        ranks.barrier("the blob is there")
        if ranks.rank == 0:
            asking, send = net._asking, net._asking.send

            def told(*args):
                found = send(*args)
                has_left.set()
                return found

            def handler(signum, frame):
                raise Handled("of a handler")

            def cut_off(*args):
                asking.send = told
                send(*args)
                handler(signal.SIGALRM, sys._getframe())
            first, asking.send = net.begin(1, "exists", "t", blob), cut_off
            with pytest.raises(Handled):
                store.append("t", blob, b"a")
            other = threading.Thread(target=store.append, args=("t", blob, b"b"))
            other.start()
            assert has_left.wait(30)
        ranks.barrier("both are asked")
        goes_on.set()
        if ranks.rank == 0:
            other.join(30)
            assert first.answer() and store.get("t", blob) == b"ab"
        ranks.barrier("rank 0 is done")
