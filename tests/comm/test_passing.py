"""Folders that go with their processes: closed, killed, used by several, or somebody else's."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from harness.mpirun import job_environment
from wrp.comm import passing
from wrp.comm.passing import PassingFolder
from wrp.errors import StoreError

KILLED = """
import os, sys
from wrp.comm.passing import PassingFolder
folder = PassingFolder(sys.argv[1])
open(os.path.join(folder.path, "file"), "w").close()
os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def parent(tmp_path, monkeypatch):
    """The folder for temporary files; what others of this machine have left in /dev/shm doesn't count."""
    monkeypatch.setattr(passing.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(parent):
    return [path for path in passing.left() if path.startswith(str(parent))]


def test_the_last_to_close_it_removes_it(parent):
    with PassingFolder("purpose") as one:
        other = PassingFolder("purpose")
        assert other.path == one.path == str(parent / f"wrp-{os.getuid()}.purpose") and os.stat(one.path).st_mode & 0o777 == 0o700
        open(os.path.join(one.path, "file"), "w").close()
    assert os.path.exists(other.path) and left(parent) == [] and not passing.remove(other.path)
    other.close()
    other.close()
    assert os.listdir(parent) == []


def test_what_a_killed_process_has_left_is_found_and_removed(parent):
    killed = subprocess.run([sys.executable, "-c", KILLED, "mine"], env=job_environment({"TMPDIR": str(parent)}), timeout=40)
    assert killed.returncode == -signal.SIGKILL
    (path,) = left(parent)
    assert os.listdir(path) == ["file"] and passing.remove(path)
    assert os.listdir(parent) == [] and not passing.remove(path)


def test_one_that_was_left_is_used_again_by_who_names_it(parent):
    subprocess.run([sys.executable, "-c", KILLED, "mine"], env=job_environment({"TMPDIR": str(parent)}), timeout=40)
    with PassingFolder("mine"):
        assert left(parent) == []
    assert os.listdir(parent) == []


def test_a_folder_that_goes_while_it_is_named_is_made_again(parent):
    """Threads that come and go, and one that removes what it takes for left: whoever has the folder has it while it does."""
    wrong, over = [], threading.Event()

    def use():
        while not over.is_set():
            with PassingFolder("busy") as folder:
                if not os.path.isdir(folder.path):
                    wrong.append(folder.path)
    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    for _ in range(2000):
        passing.remove(str(parent / f"wrp-{os.getuid()}.busy"))
    over.set()
    for user in users:
        user.join()
    assert not wrong and os.listdir(parent) == []


def test_one_that_is_named_after_a_living_process_is_its(parent):
    """Made, and not locked yet."""
    mine, dead = (parent / f"wrp-{os.getuid()}.test-{pid}" for pid in (os.getpid(), 1 << 22))
    for path in (mine, dead):
        path.mkdir(0o700)
    assert left(parent) == [str(dead)] and not passing.remove(str(mine)) and passing.remove(str(dead)) and mine.exists()


@pytest.mark.parametrize("made", ["open to others", "a file", "a link"])
def test_what_is_no_folder_of_ours_alone_is_refused_and_stays(parent, made):
    path = parent / f"wrp-{os.getuid()}.theirs"
    if made == "a file":
        path.touch()
    elif made == "a link":
        path.symlink_to(parent)
    else:
        path.mkdir()
        path.chmod(0o755)
    with pytest.raises(StoreError, match="not a folder that only you can use"):
        PassingFolder("theirs")
    assert left(parent) == [] and not passing.remove(str(path)) and os.path.lexists(path)


def test_where_none_can_be_made_is_a_sentence(parent):
    with pytest.raises(StoreError, match="can't be made: No such file or directory; set TMPDIR"):
        PassingFolder("purpose", str(parent / "none"))
