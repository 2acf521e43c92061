"""A store on a disk that others have filled: it opens, is read, gives up what is destroyed, and the disk has that back. The disk is a small tmpfs of the test's own."""

import errno
import os
import shutil
import subprocess
import sys
import time

import pytest

from wrp.cte import Store
from wrp.cte.folder import folder as folders

_FILLED = """
import os, sys
from wrp.cte import Store
disk, count, nbytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
folder = os.path.join(disk, "store")

def fill():
    with open(os.path.join(disk, "others"), "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass

with Store.open(folder) as store:
    store.put_many("t", [f"b{number}" for number in range(count)], [bytes([number % 251]) * nbytes for number in range(count)])
    store.put("u", "kept", b"kept")
for _ in range(3):
    fill()
    with Store.open(folder) as store:
        assert store.list("t") == [f"b{number}" for number in range(count)] and store.get("t", "b3") == bytes([3]) * nbytes
fill()
with Store.open(folder) as store:
    store.destroy("t")
    assert store.tags() == ["u"]
with Store.open(folder) as store:
    assert store.tags() == ["u"] and store.get("u", "kept") == b"kept"
    room = os.statvfs(disk)
    assert room.f_bavail * room.f_frsize >= count * nbytes // 2
os.unlink(os.path.join(disk, "others"))
with Store.open(folder) as store:
    store.put("u", "more", bytes(1 << 20))
with Store.open(folder, write=False) as store:
    assert store.list("u") == ["kept", "more"]
print("well")
"""


@pytest.mark.parametrize("count, nbytes", [(6, 1 << 20), pytest.param(3000, 4000, id="more names than the spare room takes")])
def test_a_store_on_a_full_disk_opens_and_gives_room_back(tmp_path, count, nbytes):
    tried = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=48m tmpfs {tmp_path} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*tried, "true"], capture_output=True, timeout=20).returncode:
        pytest.skip("no mount of its own can be made here")
    done = subprocess.run([*tried, sys.executable, "-c", _FILLED, str(tmp_path), str(count), str(nbytes)], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["well"], done.stdout + done.stderr


@pytest.mark.parametrize("moves", [False, True], ids=["put again", "of another name"])
def test_journals_that_stay_win_over_nothing_that_is_put_later_whatever_the_clock_says(tmp_path, monkeypatch, moves):
    clock = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: clock() + 3600 * 10 ** 9)      # of a job before somebody has set it right
    with Store.open(tmp_path / "store") as store:
        store.put("t", "b", b"before")
        store.flush()
        store.delete("t", "b")
    monkeypatch.setattr(time, "time_ns", clock)
    replace = folders.replace

    def refused(path, data):
        if os.path.basename(path) == "snapshot":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        replace(path, data)

    monkeypatch.setattr(folders, "replace", refused)
    with Store.open(tmp_path / "store") as store:
        store.put("t", "c" if moves else "b", b"after")
        if moves:
            store.rename("t", "c", "b")
    monkeypatch.setattr(folders, "replace", replace)
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get("t", "b") == b"after"
