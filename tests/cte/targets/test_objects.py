"""A bucket as a store's target: put, flush, and found by later jobs."""

import random

import pytest
from runtime.devices.test_objects import lacks, loop, s3  # noqa: F401 (fixtures)

from wrp.cte import Store
from wrp.errors import ConfigError, Corrupt, StoreError
from wrp.runtime.config import load

MIB = 1 << 20
BLOBS = {f"{nbytes}.{number}": random.Random(nbytes + number).randbytes(nbytes) for nbytes in (10, 5000, 70_000, 3 * MIB) for number in range(3)}


@pytest.fixture
def config(tmp_path):
    def made(url):
        path = tmp_path / "bucket.yaml"
        path.write_text(f"storage:\n  - {{path: 'ram::r', capacity_limit: 32m}}\n  - {{path: '{url}', capacity_limit: 64m}}\n")
        return load(str(path), {})
    return made


def put_and_find(folder, conf):
    with Store.open(folder, config=conf) as store:
        for blob, data in BLOBS.items():
            store.put("t", blob, data)
        store.flush()
        target = store.targets()[1]
        assert (target.kind, target.persistence) == ("object", "long_term")
    for write in (False, True):
        with Store.open(folder, config=conf if write else load(None, {}), write=write) as store:
            assert all(store.get("t", blob) == data for blob, data in BLOBS.items())
            if write:
                store.put("t", "more", b"m" * MIB, min_persistence="long_term")
                store.delete("t", "10.0")
    with Store.open(folder, config=conf) as store:
        assert store.get("t", "more") == b"m" * MIB and not store.exists("t", "10.0")


def test_objects_are_files_of_fsspec(folder, config, tmp_path):
    put_and_find(folder, config(f"file://{tmp_path}/bucket/place"))
    assert len(list((tmp_path / "bucket").iterdir())) == 1          # one device, of this store and node
    next((tmp_path / "bucket").iterdir()).rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="data file file://.*place-.*-0 isn't there, and blobs of the tags 't' have bytes in it"):
        Store.open(folder, config=config(f"file://{tmp_path}/bucket/place"))


def test_objects_go_with_their_blobs_and_are_missed_where_a_blob_has_them(folder, config, tmp_path):
    conf = config(f"file://{tmp_path}/bucket/place")

    def objects():
        return [path for path in next((tmp_path / "bucket").iterdir()).iterdir() if path.name.isdigit()]
    with Store.open(folder, config=conf) as store:
        for number in range(8):
            store.put("t", str(number), bytes([number]) * 3 * MIB)
        store.flush()
        before = objects()
        for number in range(1, 8):
            store.delete("t", str(number))
    assert set(objects()) < set(before)
    with Store.open(folder, config=conf, write=False) as store:
        assert store.get("t", "0") == bytes(3 * MIB) and store.list("t") == ["0"]
    for path in objects():
        path.unlink()
    with Store.open(folder, config=conf, write=False) as store, pytest.raises(Corrupt, match="has no bytes"):
        store.get("t", "0")


@lacks("s3fs", "moto")
def test_objects_are_those_of_a_server(folder, config, s3):  # noqa: F811
    put_and_find(folder, config(s3[1]))


def test_memory_is_no_place_for_a_store(folder, config):
    with pytest.raises(ConfigError, match="memory://x is no place for a store"):
        Store.open(folder, config=config("memory://x"))
