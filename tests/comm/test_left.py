"""Segments of processes that were killed, and what only looks like one."""
import fcntl
import os
import signal
import threading

from wrp.comm import left, mapping, names
from wrp.comm.segment import Segment

_NBYTES = 1 << 20


def _die(_=None):
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_the_killed_left_goes_and_what_others_have_stays(fork, tmp_path, monkeypatch):
    folder = tmp_path / "shared"
    monkeypatch.setenv("WRP_SHM_DIR", str(folder))
    left.sweep()
    assert not folder.exists()                  # nor is one made
    names.folder()
    assert fork(lambda: (Segment.named("dead", _NBYTES, create=True), _die())).join() == -signal.SIGKILL
    assert fork(lambda: mapping.create(names.path("early"), _NBYTES, _die)).join() == -signal.SIGKILL
    unfinished = [name for name in os.listdir(folder) if name.endswith(".new")]
    assert len(unfinished) == 1 and names.maker_of_unfinished(unfinished[0])
    # a process that lives and has no lock yet; files of others than wrp, which a folder of large pages may have; a folder
    (folder / f"young.{os.getpid()}.new").touch()
    (folder / "notes.txt").write_text("a user's own")
    (folder / "empty").touch()
    (folder / "of.1.new").write_text("a user's own, too")
    (folder / "capio-1").mkdir()
    stays = {"living", f"young.{os.getpid()}.new", "notes.txt", "empty", "of.1.new", "capio-1"}
    with Segment.named("living", _NBYTES, create=True) as living:
        with Segment.named("dead") as seen:     # who still looks at it keeps its memory
            left.sweep()
            assert set(os.listdir(folder)) == stays
            assert seen.find("none") is None and living.is_named("living")
        Segment.named("living").close()


def test_who_removes_what_was_left_bars_nobody_from_the_name(fork):
    name = f"left-{os.getpid()}"
    assert fork(lambda: (Segment.named(name, _NBYTES, create=True), _die())).join() == -signal.SIGKILL
    fd = os.open(names.path(name), os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)                  # as one that sweeps has it, for a moment
    others = threading.Timer(0.03, os.close, (fd,))
    others.start()
    with Segment.named(name, _NBYTES, create=True) as made:
        assert made.is_named(name)
    others.join()
