"""The memory of a process that has its node for itself isn't in /dev/shm, and isn't limited by what that has free."""

import shutil
import subprocess
import sys

import pytest

from wrp.comm import memory
from wrp.comm.ranks.solo import Solo
from wrp.runtime.runtime import Runtime

_STORE = """
from wrp.cte import Store
with Store.open() as store:
    capacity = store.targets()[0].capacity
    store.put("t", "b", bytes(64 << 20))
    print(capacity > 64 << 20, len(store.get("t", "b")))
"""


def test_a_small_dev_shm_limits_nothing():
    tried = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=8m tmpfs /dev/shm && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*tried, "true"], capture_output=True, timeout=20).returncode:
        pytest.skip("no mount of its own can be made here")
    done = subprocess.run([*tried, sys.executable, "-c", _STORE], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", str(64 << 20)], done.stdout + done.stderr


def test_a_tier_on_a_pool_takes_no_room_of_its_own(configured):
    """Its memory is that pool's, whatever its `capacity_limit` says."""
    pool = "compose:\n  - {mod_name: bdev, pool_name: 'ram::pool', bdev_type: ram, pool_id: 301.5, capacity: 8m}\n"
    tier = "storage:\n  - {path: 'ram::pool', capacity_limit: 1t, existing_pool_id: 301.5}\n"
    with Runtime(Solo(), configured(pool + tier)) as runtime:
        assert runtime.segment.nbytes < 1 << 40


def test_pools_of_ram_have_room_beside_each_other(configured):
    """As much as the configuration gives them, whatever is free when the runtime is made: pages are taken as they are used."""
    each = (memory.total() or 1 << 34) * 2 // 5 // 4096 * 4096
    pools = "".join(f"  - {{mod_name: bdev, pool_name: 'ram::{number}', bdev_type: ram, pool_id: 301.{number}, capacity: {each}}}\n" for number in range(2))
    with Runtime(Solo(), configured("compose:\n" + pools)) as runtime:
        assert [runtime.device_of((301, number)).capacity for number in range(2)] == [each, each]
