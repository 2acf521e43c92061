"""Ranks, of one node or of several, that share a store through `wrp://` and zarr: each writes, all see it."""

import asyncio

import pytest

pytest.importorskip("fsspec", reason="fsspec isn't installed: pip install -e '.[arrays]'")

from wrp.cee.doors.filesystem import WrpFileSystem
from wrp.comm.ranks import world
from wrp.cte import Store

pytestmark = pytest.mark.mpi


@pytest.fixture
def fs():
    with Store.open(None, world()) as store:
        yield WrpFileSystem(store, skip_instance_cache=True)


def test_ranks_append_to_one_file_and_update_their_own(fs):
    ranks = world()
    for number in range(20):
        with fs.open("run/log", "ab") as file:
            file.write(b"%d.%d\n" % (ranks.rank, number))
    own = f"run/part {ranks.rank}"
    fs.pipe_file(own, bytes(3_000_000))
    with fs.open(own, "r+b") as file:
        for number in range(100):
            file.seek(29_000 * number)
            file.write(b"%5d" % (1000 * ranks.rank + number))
    with fs.open(f"{own}.new", "w+b") as file:
        file.write(fs.cat_file(own)[::-1])
    fs.mv(f"{own}.new", f"{own}.back")
    fs.mv(f"{own}.back", own)                                   # over a file
    ranks.barrier("all have written")
    lines = fs.cat_file("run/log").split()
    assert sorted(lines) == sorted(b"%d.%d" % (rank, number) for rank in range(ranks.size) for number in range(20))
    assert fs.find("run") == ["run/log", *(f"run/part {rank}" for rank in range(ranks.size))]
    for rank in range(ranks.size):
        data = fs.cat_file(f"run/part {rank}")[::-1]
        assert len(data) == 3_000_000 and all(data[29_000 * number:][:6] == b"%5d\0" % (1000 * rank + number) for number in range(100))
    ranks.barrier("all have looked")


def test_one_rank_makes_a_file_that_all_want_to_make(fs):
    ranks = world()
    ranks.barrier("now")
    try:
        fs.pipe_file("run/lock", b"%d" % ranks.rank, mode="create")
        mine = True
    except FileExistsError:
        mine = False
    assert sum(ranks.gather(mine, "who has made it")) == 1
    assert mine == (fs.cat_file("run/lock") == b"%d" % ranks.rank)
    ranks.barrier("all have looked")


def test_one_rank_sets_a_key_that_all_want_to_set(fs):
    pytest.importorskip("zarr", reason="zarr isn't installed: pip install -e '.[arrays]'")
    from zarr.core.buffer import cpu

    from wrp.cee.doors.tagstore import TagStore

    ranks, store = world(), TagStore(fs.handle, "arrays")
    asyncio.run(store.set_if_not_exists("key", cpu.Buffer.from_bytes(b"%d" % ranks.rank)))
    found = ranks.gather(store.get_sync("key").to_bytes(), "what is there")
    assert len(set(found)) == 1 and found[0] in {b"%d" % rank for rank in range(ranks.size)}
    ranks.barrier("all have looked")
