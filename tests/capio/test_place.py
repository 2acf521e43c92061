"""The folder of a server: who looks whether there is one, or removes what a dead one left, is in nobody's way."""

import os
import shutil
from pathlib import Path

import pytest

from wrp.capio.server import place
from wrp.comm import names
from wrp.errors import StoreBusy

_NAME = "flow"


@pytest.fixture
def meanwhile(monkeypatch):
    """meanwhile(does): a list of what happens at each nap of a server that waits for its folder."""
    does = []
    monkeypatch.setattr(place.time, "sleep", lambda _: does.pop(0)())
    return does


def looked():
    """Someone who looks, and has the lock by now; to be closed."""
    place.folder(_NAME).mkdir(mode=0o700, exist_ok=True)
    return place._locked(place.folder(_NAME))


def test_a_server_starts_while_another_process_looks_whether_there_is_one(tmp_path, meanwhile):
    lock = looked()
    meanwhile += [lambda: None, lambda: os.close(lock)]
    place.Place(_NAME, tmp_path).close()
    assert not meanwhile and not place.folder(_NAME).exists()


def test_a_server_starts_while_another_process_removes_what_a_dead_one_left(tmp_path, meanwhile):
    lock = looked()

    def removes():
        shutil.rmtree(place.folder(_NAME))
        os.close(lock)

    meanwhile.append(removes)
    served = place.Place(_NAME, tmp_path)
    assert [about["workflow"] for about in place.running()] == [_NAME]
    served.close()
    assert not place.running()


def test_of_a_folder_that_went_between_its_opening_and_its_locking_nobody_has_the_lock(tmp_path, monkeypatch):
    folder, flock = place.folder(_NAME), place.fcntl.flock

    def late(lock, how):
        monkeypatch.setattr(place.fcntl, "flock", flock)
        shutil.rmtree(folder)
        flock(lock, how)

    monkeypatch.setattr(place.fcntl, "flock", late)
    served = place.Place(_NAME, tmp_path)
    assert (folder / "lock").exists() and place.running()
    served.close()


def test_a_server_that_runs_is_told_of_at_once(tmp_path, meanwhile):
    served = place.Place(_NAME, tmp_path)
    try:
        with pytest.raises(StoreBusy, match=f"process {os.getpid()}"):
            place.Place(_NAME, tmp_path)
    finally:
        served.close()


def test_who_looks_leaves_nothing_where_a_server_ends(tmp_path, monkeypatch):
    """As the folder is removed it is looked at: after each file that goes."""
    served, unlink = place.Place(_NAME, tmp_path), os.unlink
    (served.folder / "answer").touch()

    def looks(path, **more):
        unlink(path, **more)
        place.running()

    monkeypatch.setattr(os, "unlink", looks)
    served.close()
    assert not list(Path(names.folder()).glob("capio-*"))
