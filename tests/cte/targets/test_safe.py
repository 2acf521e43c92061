"""A safe device as a store's target: blobs are read without lost members, by writers, readers and later jobs."""

import os
import random

import pytest

from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import ConfigError, OutOfSpace, StoreError, UsageError
from wrp.runtime.config import load

MIB = 1 << 20
BLOBS = {f"{nbytes}.{number}": random.Random(nbytes + number).randbytes(nbytes) for nbytes in (10, 5000, 70_000, 3 * MIB) for number in range(3)}


@pytest.fixture
def config(tmp_path):
    """The Config of a store with one safe target of four members, of which one may be lost; `more`: further keys of its entry."""
    def made(more="", count=4):
        path = tmp_path / "safe.yaml"
        members = ", ".join(str(tmp_path / f"disk{number}" / "part") for number in range(count))
        for number in range(count):
            (tmp_path / f"disk{number}").mkdir(exist_ok=True)
        path.write_text(f"storage:\n  - {{path: 'ram::r', capacity_limit: 32m}}\n  - {{path: kept, bdev_type: safe, members: [{members}], capacity_limit: 32m{more}}}\n")
        return load(str(path), {})
    return made


def files(tmp_path, number):
    return sorted((tmp_path / f"disk{number}").iterdir())


def test_blobs_are_read_after_a_member_is_lost(tmp_path, folder, config):
    with Store.open(folder, config=config()) as store:
        for blob, data in BLOBS.items():
            store.put("t", blob, data)
        store.flush()
        target = store.targets()[1]
        assert (target.kind, target.name, target.persistence) == ("safe", "kept", "long_term") and not os.path.exists(os.path.join(folder, "data", "0"))
    for number in (1, 3):
        kept = [(path, path.read_bytes()) for path in files(tmp_path, number)]
        assert len(kept) == 1
        kept[0][0].unlink()
        # who only reads needs no configuration, and changes nothing
        with Store.open(folder, config=load(None, {}), write=False) as store:
            assert all(store.get("t", blob) == data for blob, data in BLOBS.items())
        kept[0][0].write_bytes(kept[0][1])
    files(tmp_path, 2)[0].unlink()
    with Store.open(folder, config=config()) as store:
        assert all(store.get("t", blob) == data for blob, data in BLOBS.items())
        store.put("t", "new", b"n" * MIB)
    with Store.open(folder, config=config(), write=False) as store:
        assert store.get("t", "new") == b"n" * MIB
    files(tmp_path, 0)[0].unlink()
    with pytest.raises(StoreError, match="2 of its members are missing or stale .* and 1 may be"):
        Store.open(folder, config=config())


def test_a_lost_member_is_named_and_rebuilt_by_who_has_the_store(tmp_path, folder, config):
    with Store.open(folder, config=config()) as store:
        for blob, data in BLOBS.items():
            store.put("t", blob, data)
        store.flush()
        assert store.targets()[1].failed == ()
    lost = files(tmp_path, 1)[0]
    lost.unlink()
    with Store.open(folder, config=config()) as store:
        assert store.targets()[1].failed == (str(lost),)
        with pytest.raises(UsageError, match="no safe target 'keep' on this node: there are kept"):
            store.recover("keep", 1)
        assert store.recover("kept", str(lost)) > 0 and store.targets()[1].failed == ()
        with pytest.raises(StoreError):
            store.recover("kept", 1)                    # it isn't out
    files(tmp_path, 2)[0].unlink()
    with Store.open(folder, config=load(None, {}), write=False) as store:
        assert all(store.get("t", blob) == data for blob, data in BLOBS.items())
        with pytest.raises(UsageError):
            store.recover("kept", 2)                    # by who only reads


def test_it_is_full_when_it_says_so(folder, config, tmp_path):
    with Store.open(folder, config=config()) as store:
        with pytest.raises(OutOfSpace, match="safe target '[^']+' of 32 MiB has no room"):
            for number in range(20):
                store.put("t", str(number), bytes([number]) * (4 * MIB), min_persistence="long_term")
        assert all(store.get("t", str(blob)) == bytes([blob]) * (4 * MIB) for blob in range(7))


def test_a_new_store_that_fails_leaves_no_members(folder, config, tmp_path):
    import shutil

    conf = config()
    shutil.rmtree(tmp_path / "disk3")
    with pytest.raises(StoreError, match="disk3/part.* of a safe device can't be made: No such file"):
        Store.open(folder, config=conf)
    assert not os.path.exists(folder)


@pytest.mark.parametrize("more, sentence", [(", max_failures: 4", "can't outlive 4 of them"), (", persistence_level: temporary", "a safe target is long_term")])
def test_what_no_target_can_be(folder, config, more, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Store.open(folder, config=config(more))
    assert not os.path.exists(folder)


@pytest.mark.mpi
def test_every_rank_and_node_reads_and_writes_it(folder, config, tmp_path):
    ranks = world()
    folder, base = ranks.share((str(folder), str(tmp_path)), "the folder of the store")
    path = tmp_path / "all.yaml"
    path.write_text(f"storage:\n  - {{path: 'ram::r', capacity_limit: 16m}}\n  - {{path: kept, bdev_type: safe, members: [{base}/a, {base}/b, {base}/c], capacity_limit: 16m}}\n")
    conf = load(str(path), {})
    with Store.open(folder, ranks, conf) as store:
        for number in range(6):
            store.put("t", f"{ranks.rank} {number}", random.Random(number + 10 * ranks.rank).randbytes(100_000))
        store.flush_all()
        for rank in range(ranks.size):
            assert all(store.get("t", f"{rank} {number}") == random.Random(number + 10 * rank).randbytes(100_000) for number in range(6))
    if ranks.rank == 0:
        for name in os.listdir(base):
            if name.startswith("b-"):
                os.unlink(os.path.join(base, name))
    ranks.barrier("a member is lost")
    with Store.open(folder, ranks, conf, write=False) as store:
        for rank in range(ranks.size):
            assert all(store.get("t", f"{rank} {number}") == random.Random(number + 10 * rank).randbytes(100_000) for number in range(6))
