"""A store of all ranks, whatever nodes they form: what one rank does, every rank sees when the call has returned."""

import random
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.homes import home_of
from wrp.cte.nodes import mail
from wrp.cte.nodes.wire import record_of
from wrp.cte.telemetry import EVERY
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, OutOfSpace, RangeError, StoreError, UsageError, WaitTimeout
from wrp.runtime.config import load

pytestmark = pytest.mark.mpi
SIZES = (0, 1, 1000, 20_000, 40_000, 5_000_000)      # inside a question, in a block, by themselves, in two extents


@pytest.fixture(params=["memory", "folder"])
def place(request, shared_folder):
    return None if request.param == "memory" else shared_folder


def data(seed, nbytes):
    return random.Random(seed).randbytes(nbytes)


def turns(ranks, function):
    """Each rank calls `function(rank)` alone, one after the other."""
    for rank in range(ranks.size):
        if ranks.rank == rank:
            function(rank)
        ranks.barrier(f"the turn of rank {rank}")


def test_puts_of_every_size_are_seen_by_everybody(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        turns(ranks, lambda rank: [store.put("t", f"{rank}.{size}", data(rank + size, size), score=0.5) for size in SIZES])
        out = bytearray(max(SIZES))
        for rank in range(ranks.size):
            for size in SIZES:
                name, wanted = f"{rank}.{size}", data(rank + size, size)
                assert store.get("t", name) == wanted and bytes(store.view("t", name)) == wanted
                assert store.get("t", name, out=memoryview(out)[:size]) == size and out[:size] == wanted
                info = store.info("t", name)
                assert (info.size, info.score, store.size("t", name)) == (size, 0.5, size)
                assert store.get("t", name, size // 3, size // 2) == wanted[size // 3:size // 3 + size // 2]
        ranks.barrier("all have looked")


def test_a_flush_waits_for_what_its_thread_has_put_whatever_other_threads_of_the_rank_flush(opened, shared_folder):
    ranks = world()
    with opened(shared_folder, "{}") as store:
        if not ranks.rank:
            far = next(blob for blob in map(str, range(1000)) if home_of("t", blob, ranks.nodes) == 1)
            is_over = threading.Event()

            def flushes():
                while not is_over.is_set():
                    store.flush()
            threads = [threading.Thread(target=flushes) for _ in range(2)]
            for thread in threads:
                thread.start()
            try:
                dirty = 0
                for number in range(60):
                    store.put_many("t", [far], [b"many"]) if number % 2 else store.put("t", far, b"one")
                    store.flush()
                    dirty += record_of(store._routes.look("look", "t", far, 1000, 1)[0]).dirty      # beyond its end: the record
            finally:
                is_over.set()
                for thread in threads:
                    thread.join()
            assert not dirty
        ranks.barrier("all is looked at")


def test_many_rows_are_more_than_the_memory_for_questions_and_all_of_it_is_free_again(opened):
    ranks = world()
    with opened(None, "{}") as store:
        names, rows = [str(number) for number in range(3000)], np.arange(3000, dtype=np.uint32)[:, None] + np.zeros((1, 4096), np.uint32)
        if not ranks.rank:
            store.put_many("t", names, rows)
        ranks.barrier("rows are put")
        found = np.zeros_like(rows)
        store.get_many("t", names, found)
        assert (found == rows).all()
        mail = store._net._asking._mail._device
        ranks.barrier("all have them")
        until = time.monotonic() + 20
        while mail.capacity - mail.remaining > 4 << 20:
            assert time.monotonic() < until, mail.remaining
            time.sleep(0.01)
        ranks.barrier("all have looked")


def test_answers_are_fetched_as_the_memory_for_them_comes(opened):
    ranks = world()
    with opened(None, "networking: {net_timeout: 6}") as store:
        names, rows = [str(number) for number in range(1500)], np.arange(1500, dtype=np.uint32)[:, None] + np.zeros((1, 4096), np.uint32)
        if not ranks.rank:
            store.put_many("t", names, rows)
        ranks.barrier("rows are put")
        found, mail, taken = np.zeros_like(rows), store._net._asking._mail, []
        store.get_many("t", names, found)
        ranks.barrier("every channel has its memory")
        if not ranks.local_rank:
            with pytest.raises(OutOfSpace):
                while True:
                    taken.append(mail.lease(1 << 20))
            for _ in range(2):
                mail.give_back(taken.pop(), 1 << 20)
        ranks.barrier("there is memory for two answers")
        for _ in range(3):
            found[:] = 0
            store.get_many("t", names, found)
            assert (found == rows).all()
        ranks.barrier("all have them")
        for place in taken:
            mail.give_back(place, 1 << 20)


def test_more_who_ask_than_the_memory_for_answers_has_room_for_wait_for_each_other(opened, monkeypatch):
    """As hundreds of ranks that ask one node: what a channel keeps for its next answer is all that others could have."""
    monkeypatch.setattr(mail, "NBYTES", 1 << 20)
    ranks, threads = world(), 24
    with opened(None, "networking: {net_timeout: 10}") as store:
        names, together, found = sorted(f"{number:040}" for number in range(2000)), threading.Barrier(threads), []
        if not ranks.rank:
            store.put_many("t", names, [b"x"] * len(names))
        ranks.barrier("blobs are put")

        def asks():
            together.wait(60)
            for _ in range(3):
                found.append(_told(lambda: store.list("t") == names))
        working = [threading.Thread(target=asks) for _ in range(threads)]
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()
        ranks.barrier("all have asked")
        assert found == [True] * 3 * threads, set(found)


def _told(call):
    try:
        return call()
    except Exception as error:
        return str(error)


def test_who_asks_all_nodes_waits_for_the_memory_for_the_questions(opened):
    ranks = world()
    with opened(None, "networking: {net_timeout: 20}") as store:
        store.put(f"t{ranks.rank}", "b", b"x")
        ranks.barrier("blobs are put")
        if not ranks.rank:
            asking, mail = store._net._asking, store._net._asking._mail
            for call in (store.tags, lambda: store.statistics(EVERY).tags, lambda: store.telemetry(node=EVERY).entries):
                call()
                taken = _all_of(mail)
                for channel in asking._idle:
                    channel.shrink()
                taken += _all_of(mail)
                giving_back = threading.Timer(0.3, lambda: [mail.give_back(*each) for each in taken])
                giving_back.start()
                assert len(call()) >= ranks.size
                giving_back.join()
        ranks.barrier("rank 0 has asked")


def _all_of(mail):
    """[(place, bytes)] of the memory for questions that nobody has."""
    taken = []
    for nbytes in (1 << 20, 4 << 10):
        with suppress(OutOfSpace):
            while True:
                taken.append((mail.lease(nbytes), nbytes))
    return taken


def test_a_call_of_many_questions_waits_as_long_for_the_memory_of_each(opened):
    with opened(None, "{}") as store:
        net, refused = store._net, []
        ranks, other = net._parts.ranks, min(net.others)

        def late():
            time.sleep(0.2)             # longer than the wait for one
            return net.begin(other, "failed_syncs")

        def refuses():
            if not refused:
                refused.append(True)
                raise OutOfSpace("others of the node have it")
            return net.begin(other, "failed_syncs")
        limit_s, ranks.timeout_s = ranks.timeout_s, 0.1
        try:
            assert net.in_turn([late, refuses], 1) == [0, 0]
        finally:
            ranks.timeout_s = limit_s
        ranks.barrier("all have asked")


def test_every_call_on_a_blob_of_any_home(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        def calls(rank):
            for number in range(2 * ranks.nodes):
                tag, blob = f"t{rank}", f"b{number}"
                store.put(tag, blob, b"a" * 10)
                stamp = store.info(tag, blob).stamp
                store.put(tag, blob, b"b" * 50_000, offset=5)
                with pytest.raises(Changed):
                    store.put(tag, blob, b"c", if_generation=stamp)
                store.append(tag, blob, b"d" * 40_000)
                store.truncate(tag, blob, 60_000)
                assert store.score(tag, blob, 0.25) == store.score(tag, blob) == 0.25
                store.copy(tag, blob, tag, f"copy{number}")
                store.put(tag, f"over{number}", b"o" * 30_000)
                store.rename(tag, f"copy{number}", f"over{number}", replace=True)
                store.rename(tag, f"over{number}", f"copy{number}")
                store.rename(tag, blob, f"moved{number}")
                store.move(tag, f"moved{number}", "file")
                with store.reserve(tag, f"kept{number}", 70_000) as reserved:
                    reserved.view[:] = b"r" * 70_000
                with pytest.raises(Changed):
                    store.rename(tag, f"kept{number}", f"moved{number}")
                outcome = store.put(tag, f"packed{number}", b"p" * 50_000, compression="zlib")
                assert outcome.codec == "zlib" and store.info(tag, f"packed{number}").stored == outcome.stored_nbytes < 50_000
                store.put(tag, "short", b"12345")
                with pytest.raises(UsageError, match="zfp takes float32 and float64 .*, not <i4"):        # of a lossy codec the array says the dtype
                    store.put(tag, "short", np.arange(9, dtype="<i4"), compression="zfp")
                store.delete(tag, "short")
        turns(ranks, calls)
        whole = b"a" * 5 + b"b" * 50_000 + b"d" * 9995
        for rank in range(ranks.size):
            for number in range(2 * ranks.nodes):
                assert store.get(f"t{rank}", f"moved{number}") == store.get(f"t{rank}", f"copy{number}") == whole
                assert store.get(f"t{rank}", f"kept{number}") == b"r" * 70_000 and store.get(f"t{rank}", f"packed{number}") == b"p" * 50_000
                assert not store.exists(f"t{rank}", f"b{number}") and not store.exists(f"t{rank}", "short")
            assert len(store.list(f"t{rank}")) == 8 * ranks.nodes
        ranks.barrier("all have looked")


def test_lists_sizes_and_tags_are_those_of_all_nodes(place):
    """A tag that only some nodes know, one of which all know, an empty one."""
    ranks = world()
    with Store.open(place, ranks) as store:
        turns(ranks, lambda rank: [store.put("all", f"b{rank}.{number}", b"x" * number) for number in range(12)])
        if ranks.rank == 0:
            store.put("one", "b", b"123")
            store.create("empty")
        ranks.barrier("all is there")
        blobs = [f"b{rank}.{number}" for rank in range(ranks.size) for number in range(12)]
        assert store.tags() == ["all", "empty", "one"] and store.tags("o.*") == ["one"]
        assert store.list("all") == list(store.infos("all")) == blobs and store.list("all", "b0.1") == ["b0.1", "b0.10", "b0.11"]
        assert store.blobs(".*") == [("all", blob) for blob in blobs] + [("one", "b")]
        assert store.blobs("all|one", "b.*", limit=5) == [("all", blob) for blob in blobs[:5]]
        assert store.tag_size("all") == 66 * ranks.size and store.tag_size("one") == 3 and store.tag_size("empty") == 0
        assert {change.blob for change in store.changed(pattern="all")} == set(blobs) and len(store.changed(limit=3)) == 3
        ranks.barrier("all have looked")
        if ranks.rank == ranks.size - 1:
            store.destroy("all")
        ranks.barrier("destroyed")
        assert store.tags() == ["empty", "one"] and not store.exists("all") and store.exists("empty")
        with pytest.raises(NoSuchTag):
            store.tag_size("all")
        ranks.barrier("all have looked")


@pytest.mark.parametrize("nbytes", [300, 30_000, 60_000])
def test_of_many_rows_for_one_blob_the_last_one_stays_wherever_its_home_is(nbytes):
    ranks = world()
    with Store.open(None, ranks) as store:
        names, rows = [f"{ranks.rank}.{number % 7}" for number in range(200)], np.arange(200, dtype=np.uint8)[:, None] + np.zeros((200, nbytes), np.uint8)
        for turn in range(3):
            store.put_many("t", names, rows)
            assert [bytes(row) for row in rows[-7:]] == store.get_many("t", names[-7:])
            rows = rows[::-1].copy()
        ranks.barrier("all have put")


def test_a_blob_that_goes_from_name_to_name_has_one_at_any_moment(place):
    """Names with different homes: whoever looks along them, the first to the last, finds it, with its bytes."""
    ranks, value = world(), data(3, 5000)
    blobs = [f"b{number}" for number in range(200)]
    blobs = [blob for before, blob in zip(["", *blobs], blobs) if not before or home_of("t", before, ranks.nodes) != home_of("t", blob, ranks.nodes)][:30]
    with Store.open(place, ranks) as store:
        if ranks.rank == 0:
            store.put("t", blobs[0], value)
        ranks.barrier("it has its first name")
        if ranks.rank == 0:
            for before, after in zip(blobs, blobs[1:]):
                store.rename("t", before, after)
        else:
            at = 0
            while at < len(blobs) - 1:
                for at in range(at, len(blobs)):
                    try:
                        assert store.get("t", blobs[at]) == value
                        break
                    except NoSuchBlob:
                        assert at < len(blobs) - 1, "it has no name"
        ranks.barrier("it has its last name")
        assert store.list("t") == blobs[-1:]
        ranks.barrier("all have looked")


def test_of_ranks_that_destroy_a_tag_at_once_one_does_and_together_they_all_do(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        for turn in range(5):
            for number in range(8):
                store.put(f"t{turn}", f"{ranks.rank}.{number}", data(turn, 5000))
            ranks.barrier("all have put")
            try:
                store.destroy(f"t{turn}")
                said = ""
            except NoSuchTag as error:
                said = str(error)
            told = ranks.gather(said, "what each was told")
            assert told.count("") == 1 and store.tags() == [] and store.blobs(".*") == [] and store.changed() == []
            assert all("no tag 't" in each for each in told if each)
            ranks.barrier("all have looked")
        store.put("together", str(ranks.rank), b"x")
        ranks.barrier("all have put")
        with store.batch("all of them") as batch:
            batch.remove("together")
        assert store.tags() == [] and not store.exists("together")
        ranks.barrier("all have looked")


REFUSALS = [
    (NoSuchTag, lambda store, blob: store.get("none", blob)), (NoSuchBlob, lambda store, blob: store.get("t", blob + "x")),
    (NoSuchBlob, lambda store, blob: store.delete("t", blob + "x")), (NoSuchTag, lambda store, blob: store.delete("none", blob)),
    (NoSuchBlob, lambda store, blob: store.truncate("t", blob + "x", 1)), (NoSuchTag, lambda store, blob: store.destroy("none")),
    (NoSuchBlob, lambda store, blob: store.get_many("t", [blob, blob + "x"])), (NoSuchTag, lambda store, blob: store.infos("none")),
    (RangeError, lambda store, blob: store.get("t", blob, 91)), (RangeError, lambda store, blob: store.get("t", blob, 0, 101)),
    (RangeError, lambda store, blob: store.get("t", blob, out=bytearray(101))), (RangeError, lambda store, blob: store.get("t", blob, 0, 9, bytearray(8))),
    (UsageError, lambda store, blob: store.put("t", blob, b"x", score=2)), (UsageError, lambda store, blob: store.put("", blob, b"x")),
    (UsageError, lambda store, blob: store.put("t", blob, b"x", offset=-1)), (UsageError, lambda store, blob: store.tags("(")),
    (Changed, lambda store, blob: store.snapshot("t", "t")), (Changed, lambda store, blob: store.rename_tag("t", "other")),
    (WaitTimeout, lambda store, blob: store.wait("t", blob + "x", 0.01)), (UsageError, lambda store, blob: store.move("t", blob, "moon")),
    (OutOfSpace, lambda store, blob: store.put("t", blob, bytes(40 << 20))),
]


def test_refusals_are_the_same_wherever_the_home_is(tmp_path):
    ranks = world()
    path = tmp_path / "conf.yaml"
    path.write_text("storage:\n  - {path: 'ram::x', bdev_type: ram, capacity_limit: 16m}\n")
    with Store.open(None, ranks, load(path)) as store:
        blobs = [next(f"b{n}" for n in range(10**6) if home_of("t", f"b{n}", ranks.nodes) == node) for node in range(ranks.nodes)]
        if ranks.rank == 0:
            store.create("other")
            for blob in blobs:
                store.put("t", blob, b"x" * 90)
        ranks.barrier("all is there")
        for blob in blobs:
            for number, (kind, call) in enumerate(REFUSALS):
                with pytest.raises(kind):
                    call(store, blob)
                    pytest.fail(f"refusal {number} of blob {blob}")
            assert store.get("t", blob) == b"x" * 90
        ranks.barrier("all have looked")


def test_many_at_once(place):
    ranks = world()
    rows = np.frombuffer(data(1, 200 * 1000), np.uint8).reshape(200, 1000)
    large = np.frombuffer(data(2, 5 * 100_000), np.uint8).reshape(5, 100_000)
    with Store.open(place, ranks) as store:
        if ranks.rank == ranks.size - 1:
            store.put_many("t", [f"b{n}" for n in range(200)], rows)
            store.put_many("t", [f"l{n}" for n in range(5)], large)
            store.put_many("t", ["short", "long"], [b"s", b"l" * 40_000])
        ranks.barrier("all is put")
        out = np.zeros((200, 1000), np.uint8)
        store.get_many("t", [f"b{n}" for n in range(200)], out)
        assert (out == rows).all()
        out = np.zeros((5, 100_000), np.uint8)
        store.get_many("t", [f"l{n}" for n in range(5)], out)
        assert (out == large).all()
        assert store.get_many("t", ["short", "long", "b7", "l3"]) == [b"s", b"l" * 40_000, rows[7].tobytes(), large[3].tobytes()]
        ranks.barrier("all have looked")


def test_snapshots_and_renamed_tags(place):
    ranks = world()
    with Store.open(place, ranks) as store:
        if ranks.rank == 0:
            for number in range(9):
                store.put("t", f"b{number}", data(number, 3000 * number))
            store.snapshot("t", "then")
            store.put("t", "b3", b"new")
            store.rename_tag("t", "now")
        ranks.barrier("renamed")
        assert store.tags() == ["now", "then"] and store.get("now", "b3") == b"new"
        assert [store.get("then", blob) for blob in store.list("then")] == [data(number, 3000 * number) for number in range(9)]
        ranks.barrier("all have looked")


@pytest.mark.parametrize("seed", [1, 2])
def test_random_calls_of_random_ranks_are_those_of_a_dictionary(place, seed):
    """The ranks draw the same calls; each call is made by one of them, then all compare."""
    ranks = world()
    made, known = random.Random(seed), {}
    with Store.open(place, ranks) as store:
        for turn in range(60):
            _one_call(store, ranks, made, known)
            ranks.barrier(f"call {turn}")
            if turn % 6 == 5:
                assert store.blobs(".*") == sorted(known, key=lambda name: (name[0], int(name[1])))
                name = made.choice(sorted(known)) if known else None
                assert name is None or store.get(*name) == known[name]
                ranks.barrier("compared")
        assert {name: store.get(*name) for name in store.blobs(".*")} == known
        ranks.barrier("all have looked")
    if place is not None:
        with Store.open(place, ranks) as store:
            assert {name: store.get(*name) for name in store.blobs(".*")} == known
            ranks.barrier("all have looked")


def _one_call(store, ranks, made, known):
    mine = made.randrange(ranks.size) == ranks.rank
    tag, blob = made.choice("pq"), made.choice("0123456")
    name, value = (tag, blob), made.randbytes(made.choice(SIZES[:5]))
    kind = made.choice(("put", "put", "range", "append", "delete", "destroy", "rename", "flush", "batch"))
    if kind == "put":
        known[name] = value
        mine and store.put(tag, blob, value)
    elif kind == "range":
        old, start = known.get(name, b""), made.randrange(30_000)
        known[name] = old[:start].ljust(start, b"\0") + value + old[start + len(value):] if value else old.ljust(start, b"\0")
        mine and store.put(tag, blob, value, offset=start)
    elif kind == "append":
        known[name] = known.get(name, b"") + value
        mine and store.append(tag, blob, value)
    elif kind == "delete" and name in known:
        del known[name]
        mine and store.delete(tag, blob)
    elif kind == "destroy" and any(other[0] == tag for other in known):
        for other in [other for other in known if other[0] == tag]:
            del known[other]
        mine and store.destroy(tag)
    elif kind == "rename" and name in known and (tag, "7") not in known:
        known[tag, "7"] = known.pop(name)
        mine and store.rename(tag, blob, "7")
    elif kind == "flush":
        mine and store.flush()
    elif kind == "batch":
        ranks.barrier("a batch")
        with store.batch("random") as batch:
            batch.put(tag, str(10 + ranks.rank), value)
        known.update({(tag, str(10 + rank)): value for rank in range(ranks.size)})


def test_targets_of_every_kind_are_read_from_every_node(tmp_path):
    """Ram beside the first, a scratch file; noop says what it is."""
    ranks = world()
    path, scratch = tmp_path / "conf.yaml", ranks.share(str(tmp_path / "scratch"), "where")
    path.write_text(f"storage: [{{path: 'ram::a', capacity_limit: 8m, score: 0.1}}, {{path: 'ram::b', capacity_limit: 16m}}, {{path: {scratch}, bdev_type: file, "
                    "persistence_level: temporary, capacity_limit: 16m}, {path: nothing, bdev_type: noop}]\n")
    with Store.open(None, ranks, load(path)) as store:
        assert [target.kind for target in store.targets()] == ["ram", "ram", "file", "noop"]
        turns(ranks, lambda rank: [store.put("t", f"{rank}.{size}", data(rank + size, size)) for size in SIZES])
        for name in ("ram::b", scratch, "ram"):
            turns(ranks, lambda rank: [store.move("t", f"{rank}.{size}", name) for size in SIZES if size])
            for rank in range(ranks.size):
                assert store.get_many("t", [f"{rank}.{size}" for size in SIZES]) == [data(rank + size, size) for size in SIZES]
                assert store.get("t", f"{rank}.{SIZES[4]}", 7, 20_000) == data(rank + SIZES[4], SIZES[4])[7:20_007]
            ranks.barrier("all have looked")
        turns(ranks, lambda rank: store.move("t", f"{rank}.1000", "nothing"))
        with pytest.raises(StoreError, match="forgets what it is given"):
            store.get("t", f"{(ranks.rank + 1) % ranks.size}.1000")
        ranks.barrier("all have looked")


def test_space_comes_back_to_the_node_whose_file_it_is(shared_folder):
    """Ranks write batches into files of their own nodes; whichever node is the home of a blob gives it back."""
    from cte.test_races_mpi import assert_all_space_is_free
    ranks = world()
    with Store.open(shared_folder, ranks) as store:
        for _ in range(3):
            with store.batch("replaced") as batch:
                for number in range(8):
                    batch.put("t", f"{ranks.rank}.{number}", bytes([number]) * 30_000)
        if ranks.rank == 0:
            for number in range(8):
                store.put("t", f"{ranks.size - 1}.{number}", b"other")
        store.flush_all()
        if ranks.rank == ranks.size - 1:
            store.destroy("t")
        store.flush_all()
        assert_all_space_is_free(store, ranks)
        ranks.barrier("all have looked")


def test_a_closed_store_says_so(place):
    ranks = world()
    store = Store.open(place, ranks)
    store.put("t", f"{ranks.rank}", b"x")
    store.close()
    for call in (lambda: store.get("t", "0"), lambda: store.put("t", "0", b""), store.tags, lambda: store.exists("t", "0"), lambda: store.exists("t"),
                 lambda: store.info("t", "1"), store.flush_all if ranks.size == 1 else store.tags):
        with pytest.raises(UsageError, match="closed"):
            call()


def test_a_tag_keeps_its_id_whoever_has_put_first(shared_folder):
    """Also where every node but its home has written it down, and its home last of all; and through batches."""
    ranks = world()
    if ranks.nodes < 2:
        pytest.skip("one node is home to all")
    tags = [f"t{number}" for number in range(6)]
    for turn in range(2):
        with Store.open(shared_folder, ranks) as store:
            for tag in tags:
                for node in range(ranks.nodes):
                    if node != home_of(tag, None, ranks.nodes) and ranks.node == node and not ranks.local_rank:
                        blob = next(f"{turn}.{n}" for n in range(1000) if home_of(tag, f"{turn}.{n}", ranks.nodes) == node)
                        store.put(tag, blob, b"x")
                        store.flush()
            ranks.barrier("others have put")
            stamps = [store.tag_stamp(tag) for tag in tags]
            if ranks.rank == 0:
                store.put(tags[0], "late", b"y")
            with store.batch("into tags that are there") as batch:
                batch.put(tags[1], f"r{ranks.rank}", b"z")
            assert ranks.share(stamps, "ids") == stamps == [store.tag_stamp(tag) for tag in tags]
            ranks.barrier("all have looked")
        with Store.open(shared_folder, ranks) as store:
            assert [store.tag_stamp(tag) for tag in tags] == stamps
            ranks.barrier("all have looked")
