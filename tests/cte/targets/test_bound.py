"""Targets that are the devices of pools made elsewhere."""

import os

import pytest

from wrp.cte import Store
from wrp.errors import ConfigError, UsageError
from wrp.runtime.config import load

MIB = 1 << 20


@pytest.fixture
def bound(tmp_path, folder):
    """A function that opens a store in memory or in a folder with a pool 301.5 and a target's entry."""
    stores = []

    def make(pool, entry, memory=True):
        path = tmp_path / "bound.yaml"
        path.write_text(f"compose:\n  - {{mod_name: bdev, pool_id: 301.5, {pool}}}\nstorage:\n  - {{path: 'ram::first', capacity_limit: 4m}}\n  - {{{entry}}}\n")
        stores.append(Store.open(None if memory else folder, config=load(path)))
        return stores[-1]
    yield make
    for store in stores:
        store.close()


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("kind", ["ram", "pinned", "file"])
def test_its_bytes_lie_on_the_pool_and_its_space_is_shared(bound, tmp_path, kind, memory):
    name = f"{tmp_path}/pool" if kind == "file" else "ram::pool"
    store = bound(f"pool_name: '{name}', bdev_type: {kind}, capacity: 8m", f"path: '{name}', bdev_type: {kind}, existing_pool_id: 301.5, existing_pool_module: bdev", memory)
    device, target = store._tiers._runtime.devices[name], next(target for target in store.targets() if target.name == name)
    others = device.lease(MIB)
    device.write(others, b"o" * MIB)
    data = os.urandom(3 * MIB)
    store.put("t", "a", data)
    assert store.move("t", "a", name) and store.get("t", "a") == data and device.remaining == 4 * MIB
    assert {extent[0] for extent in store._catalog.find("t\0a").extents} == {target.number} and (target.capacity, target.kind) == (8 * MIB, kind)
    out = bytearray(MIB)
    device.read(others, out)
    assert out == b"o" * MIB
    with pytest.raises(UsageError, match="is the device of a pool that others may use"):
        store.remove_target(name)
    store.delete("t", "a")
    assert device.remaining == 7 * MIB


REFUSED = [
    ("path: 'ram::pool', existing_pool_id: 301.6", "existing_pool_id 301.6, and no bdev has that id on this node"),
    ("path: 'ram::pool', bdev_type: pinned, existing_pool_id: 301.5", "is of bdev_type pinned, and pool 301.5, 'ram::pool', is of ram"),
    ("path: 'ram::pool', existing_pool_id: three", r"storage\[1\]: existing_pool_id: pool id 'three' isn't MAJOR.MINOR"),
    ("path: 'ram::pool', existing_pool_module: bdev", r"storage\[1\]: existing_pool_module without existing_pool_id"),
    ("path: /tmp/x, persistence_level: long_term, existing_pool_id: 301.5", "the device of an existing pool is never long_term"),
    ("path: 'file:///tmp/x', existing_pool_id: 301.5", "nor safe or object"),
]


@pytest.mark.parametrize("entry, sentence", REFUSED)
def test_what_can_not_be_bound(bound, entry, sentence):
    with pytest.raises(ConfigError, match=sentence):
        bound("pool_name: 'ram::pool', capacity: 8m", entry)
