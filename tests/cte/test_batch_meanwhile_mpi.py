"""What another thread does to names of a batch that is in the journal and doesn't show yet: what shows then is there at the next opening. On 1, 2, 3 and 4."""

import threading
import time
from contextlib import suppress

import pytest
from cte.test_races_mpi import assert_all_is_free_once_destroyed

from wrp.comm import atomics
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.homes import home_of
from wrp.errors import NoSuchBlob, StoreError
from wrp.runtime.config import load

pytestmark = pytest.mark.mpi

LONG = 1 << 20                  # from which on a rename keeps the places in files
CONF = "storage: [{path: 'ram::r', bdev_type: ram, capacity_limit: 64m}, {path: data, bdev_type: file, capacity_limit: 256m}]\n"


def put(store, tag, names):
    store.put(tag, names[0], b"meanwhile" * 100)


def score(store, tag, names):
    store.score(tag, names[0], 0.5)


def delete(store, tag, names):
    store.delete(tag, names[0])


def delete_and_put(store, tag, names):
    delete(store, tag, names), put(store, tag, names)


def put_and_delete(store, tag, names):
    put(store, tag, names), delete(store, tag, names)


def put_another(store, tag, names):
    store.put(tag, names[2], b"another" * 100)


def rename_away(store, tag, names):
    store.rename(tag, names[0], names[2])


def rename_onto(store, tag, names):
    store.rename(tag, names[1], names[0], replace=True)


ACTS = (put, score, delete, delete_and_put, put_and_delete, put_another, rename_away, rename_onto)


class Meanwhile:
    """A thread of this rank that makes a call of the store, and flushes, before `batch` shows on this node: until that is over, or waits for the journals."""

    def __init__(self, store, batch, call, monkeypatch):
        self._store, self._call, self._error = store, call, None
        self._waiting_at = store._parts.catalog.flushing().address + 8
        self._thread, self._publish = threading.Thread(target=self._run), batch._publish
        monkeypatch.setattr(batch, "_publish", self._held)

    def _run(self):
        try:
            with suppress(NoSuchBlob):
                self._call()
            self._store.flush()
        except BaseException as error:
            self._error = error

    def _held(self, *args):
        self._thread.start()
        deadline = time.monotonic() + 20
        while self._thread.is_alive() and not atomics.load(self._waiting_at) and time.monotonic() < deadline:
            time.sleep(0.001)
        self._publish(*args)

    def join(self):
        self._thread.join(20)
        assert not self._thread.is_alive() and self._error is None, self._error


@pytest.mark.parametrize("is_durable", [True, False])
def test_what_is_put_into_a_tag_that_a_batch_takes_away_goes_with_it(shared_folder, monkeypatch, is_durable):
    """Or it would be there without its tag: nobody sees it before the next opening."""
    ranks = world()
    with Store.open(shared_folder if is_durable else None) as store:
        names = names_at(ranks.nodes - 1, "t", ranks)
        is_there = ranks.node == ranks.nodes - 1 and not ranks.local_rank
        if is_there:
            store.put("t", names[0], b"old")
        store.flush_all()
        batch, other = store.batch("takes it away"), None
        if is_there:
            other = Meanwhile(store, batch, lambda: put_another(store, "t", names), monkeypatch)
        with batch:
            batch.remove("t")
            batch.put("own", f"{ranks.rank}", b"kept")
        if other is not None:
            other.join()
        store.flush_all()
        assert store.tags() == ["own"] and not store.exists("t", names[2])
        ranks.barrier("all have looked")
        store.create("t")
        assert store.list("t") == []
        ranks.barrier("all have looked")


def names_at(node, tag, ranks):
    """Three names whose home is a node."""
    return [name for name in map(str, range(1000)) if home_of(tag, name, ranks.nodes) == node][:3]


@pytest.mark.parametrize("is_replaced", [False, True])
def test_what_shows_is_there_at_the_next_opening(shared_folder, tmp_path, monkeypatch, is_replaced):
    ranks = world()
    (tmp_path / "conf.yaml").write_text(CONF)
    config, home = load(tmp_path / "conf.yaml"), ranks.nodes - 1
    is_there = ranks.node == home and not ranks.local_rank
    with Store.open(shared_folder, config=config) as store:
        for act in ACTS:
            tag = act.__name__
            names = names_at(home, tag, ranks)
            if ranks.rank == 0:
                for name in names[:2]:
                    store.put(tag, name, name.encode() * LONG)
            store.flush_all()
            batch, other = store.batch(tag), None
            if is_there:
                other = Meanwhile(store, batch, lambda: act(store, tag, names), monkeypatch)
            with batch:
                if is_replaced:
                    batch.replace(tag)
                if ranks.rank == 0:
                    batch.put(tag, names[0], b"batch" * LONG)
                batch.put(tag, f"of {ranks.rank}", b"batch")
            if other is not None:
                other.join()
            ranks.barrier("the other thread is done")
        found = {name: store.get(*name)[:20] for name in store.blobs(".*")}
        assert all(found[act.__name__, f"of {rank}"] == b"batch" for act in ACTS for rank in range(ranks.size))
        ranks.barrier("all have looked")
    with Store.open(shared_folder, config=config) as store:
        assert {name: store.get(*name)[:20] for name in store.blobs(".*")} == found
        ranks.barrier("all have looked")
        assert_all_is_free_once_destroyed(store, ranks)
        ranks.barrier("all have looked")


@pytest.mark.parametrize("step", ["_check_room", "_stamp", "append"])
def test_what_was_deleted_when_a_batch_was_refused_stays_away(shared_folder, monkeypatch, step):
    """Nobody holds the journals or the names of tags afterwards, and removals have stamps of their own."""
    ranks = world()
    with Store.open(shared_folder) as store:
        names = names_at(ranks.nodes - 1, "t", ranks)
        is_there = ranks.node == ranks.nodes - 1 and not ranks.local_rank
        store.put("own", f"{ranks.rank}", b"kept")
        if is_there:
            store.put("t", names[0], b"old")
        store.flush_all()
        batch = store.batch("refused")

        def failing(*_):
            if is_there:
                store.delete("t", names[0])
                store.put("t", names[0], b"new")
            raise StoreError(f"{step} fails")
        if ranks.rank == 0 or step == "_check_room" and is_there:
            monkeypatch.setattr(store._parts.journal if step == "append" else batch, step, failing)
        with pytest.raises(StoreError, match=f"{step} fails"):
            with batch:
                batch.put("t", f"of {ranks.rank}", b"lost")
        monkeypatch.undo()
        ranks.barrier("all are out of it")
        catalog = store._parts.catalog
        assert not catalog.naming.holder and not atomics.load(catalog.flushing().address)
        with catalog.changing("looking"):
            before = catalog.last_stamp
            assert catalog.removal_stamp() > before
        ranks.barrier("all have looked")
        store.flush_all()
        if is_there:
            store.put("t", names[0], b"newest")
            store.flush()
            store.delete("t", names[0])
        store.flush_all()
        ranks.barrier("deleted")
    with Store.open(shared_folder) as store:
        assert [tag for tag, _ in store.blobs(".*")] == ["own"] * ranks.size
        ranks.barrier("all have looked")
