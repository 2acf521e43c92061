"""A run in memory: CAPIO_DIR lies on tmpfs, what is permanent is brought to its real place, whoever is killed."""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from capio.served import LIMIT_S, Flow, document, needs_compiler
from wrp.capio import language
from wrp.capio.commands import storage
from wrp.capio.server import keeping, place
from wrp.comm import names
from wrp.errors import UsageError

_RULES = {"f*": "on_close no_update", "kept*": "on_close update", "d/*": "on_close update"}


@pytest.fixture
def memory():
    """A folder in memory."""
    path = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def flow(memory, tmp_path):
    (tmp_path / "real").mkdir()
    made = Flow(memory, document(permanent=["kept*", "d/*"], **_RULES), "--keep", str(tmp_path / "real"))
    yield made
    made.end()


def _files(folder):
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else None for path in folder.rglob("*")}


@needs_compiler
def test_permanent_files_are_brought_while_the_run_goes_on_and_at_its_end(flow, tmp_path):
    real = tmp_path / "real"
    assert flow.run("writer", "cd $CAPIO_DIR; echo f > f; for n in 1 2 3 4; do echo $n > kept$n; done; mkdir d; echo e > d/e; echo mine > undeclared")[0] == 0
    deadline = time.monotonic() + LIMIT_S
    while sum(f"kept{n}" in _files(real) for n in (1, 2, 3, 4)) < 4 or "d/e" not in _files(real):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert flow.run("reader", "cat $CAPIO_DIR/kept1 $CAPIO_DIR/f")[1] == b"1\nf\n"       # they are still here
    assert flow.run("writer", "cd $CAPIO_DIR; echo more >> kept1; mv kept2 kept5; rm kept3; echo half > t; mv t kept6; chmod 600 kept4")[0] == 0
    assert flow.end() == 0
    assert _files(real) == {"kept1": "1\nmore\n", "kept4": "4\n", "kept5": "2\n", "kept6": "half\n", "d": None, "d/e": "e\n"}
    assert (real / "kept4").stat().st_mode & 0o777 == 0o600
    assert _files(flow.dir) == {"undeclared": "mine\n", "d": None}          # nobody declares the directory itself


@needs_compiler
def test_after_a_killed_server_the_next_one_brings_them(flow, tmp_path):
    assert flow.run("writer", "cd $CAPIO_DIR; echo f > f; mkdir d; echo e > d/e; exec 3> kept1; echo half >&3; kill -9 $$")[0] < 0
    flow.kill_server()
    place.tidy_all()
    assert _files(tmp_path / "real") == {"d": None, "d/e": "e\n", "kept1": "half\n"} and _files(flow.dir) == {"d": None}


def _half_written(flow):
    """A writer that writes `more` to kept1 when it is told to, and ends."""
    wrote = flow.start("writer", "exec 3> $CAPIO_DIR/kept1; echo half >&3; echo kept; read; echo more >&3", stdin=True)
    assert wrote.stdout.readline() == b"kept\n"
    return wrote


@needs_compiler
def test_what_is_written_when_the_next_server_starts_stays_until_it_is_not(flow, tmp_path):
    wrote = _half_written(flow)
    flow.kill_server()
    gone, said = place.tidy_all()
    assert not gone and len(said) == 1 and f"{flow.dir}/kept1 can't be brought to {tmp_path / 'real'}: somebody writes it; it stays" in said[0]
    wrote.communicate(b"\n")
    assert place.tidy_all() == ([], []) and _files(tmp_path / "real") == {"kept1": "half\nmore\n"} and not _files(flow.dir)


@needs_compiler
def test_what_is_written_when_the_server_ends_stays(flow, tmp_path):
    wrote = _half_written(flow)
    flow.server.send_signal(signal.SIGTERM)
    assert flow.server.wait(LIMIT_S) == 0 and "kept1 can't be brought" in flow.log()
    wrote.communicate(b"\n")
    assert _files(flow.dir) == {"kept1": "half\nmore\n"} and not _files(tmp_path / "real")


@needs_compiler
def test_what_has_no_place_to_go_after_a_kill_is_tried_again_by_every_server(flow, tmp_path):
    assert flow.run("writer", "echo k > $CAPIO_DIR/kept1; exec kill -9 $$")[0] < 0
    flow.kill_server()
    (tmp_path / "real").rename(tmp_path / "unmounted")
    for _ in range(2):
        between = place.Place(flow.name, tmp_path / "other", str(tmp_path))
        between.close()
        assert between.left[1] == [f"{flow.dir}/kept1 can't be brought to {tmp_path / 'real'}: it isn't a directory now; it stays, and is tried again by the next server"]
    (tmp_path / "unmounted").rename(tmp_path / "real")
    assert place.tidy_all() == ([], []) and _files(tmp_path / "real") == {"kept1": "k\n"} and not _files(flow.dir)
    assert not place.folder(flow.name).exists()


def test_a_copy_lasts_before_its_source_goes(memory, tmp_path, monkeypatch):
    calls = []
    for name, what in (("fsync", lambda fd: os.readlink(f"/proc/self/fd/{fd}")), ("replace", lambda _, to: str(to)), ("unlink", str)):
        plain = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, plain=plain, name=name, what=what: (calls.append((name, what(*given))), plain(*given))[1])
    (memory / "a").write_text("text")
    keeping.bring(str(memory / "a"), str(tmp_path / "b" / "a"))
    assert calls[:1] == [("fsync", str(tmp_path))]         # the folder was made
    assert calls[-5:-1] == [("fsync", str(tmp_path / "b" / ".a.capio")), ("replace", str(tmp_path / "b" / "a")), ("fsync", str(tmp_path / "b")), ("unlink", str(memory / "a"))]


def test_a_file_that_changes_while_it_is_copied_stays(memory, tmp_path, monkeypatch):
    (memory / "a").write_text("text")
    plain = keeping.shutil.copy2

    def copied(path, to, **more):
        plain(path, to, **more)
        with open(path, "a") as file:
            file.write(" and more")

    monkeypatch.setattr(keeping.shutil, "copy2", copied)
    with pytest.raises(OSError, match="somebody writes it"):
        keeping.bring(str(memory / "a"), str(tmp_path / "a"))
    assert (memory / "a").read_text() == "text and more"


@needs_compiler
def test_what_cannot_be_brought_stays_and_is_told_of(flow, tmp_path):
    (tmp_path / "real" / "d").write_text("in the way")
    assert flow.run("writer", "cd $CAPIO_DIR; mkdir d; echo e > d/e; echo k > kept1")[0] == 0
    assert flow.end() == 0
    assert _files(tmp_path / "real") == {"d": "in the way", "kept1": "k\n"} and _files(flow.dir) == {"d": None, "d/e": "e\n"}
    assert f"{flow.dir}/d/e can't be brought to {tmp_path / 'real'}: " in flow.log()


def test_on_one_file_system_they_are_moved(tmp_path):
    (tmp_path / "a").write_text("text")
    os.symlink("a", tmp_path / "link")
    inode = (tmp_path / "a").stat().st_ino
    for name in ("a", "link", "none"):
        keeping.bring(str(tmp_path / name), keeping.target(str(tmp_path / name), str(tmp_path), str(tmp_path / "to")))
    assert sorted(os.listdir(tmp_path / "to")) == ["a", "link"] and (tmp_path / "to" / "a").stat().st_ino == inode and os.listdir(tmp_path) == ["to"]


@pytest.mark.parametrize("given, sentence", [("none", "isn't a directory"), ("data", "lie in each other"), ("data/below", "lie in each other"), (".", "lie in each other")])
def test_folders_that_are_refused(tmp_path, given, sentence):
    (tmp_path / "data" / "below").mkdir(parents=True)
    with pytest.raises(UsageError, match=sentence):
        storage.keep(tmp_path / given, str(tmp_path / "data"))
    assert storage.keep(None, str(tmp_path)) is None


def test_where_files_are_to_lie_and_what_is_told_of(memory, tmp_path, monkeypatch):
    assert storage.is_in_memory(memory) and not storage.is_in_memory("/proc")

    def decide(folder, keep=None, is_all=False, env=(), is_shared=False, **more):
        return storage.decide(language.parse({"name": "w", "IO_Graph": [], **more}, str(folder)), keep, is_all, is_shared, dict(env))

    disk = "/proc"                      # no folder of a workflow, but surely not in memory
    assert decide(memory) == decide(disk) == decide(memory, storage={"memory": ["*"]}) == decide(memory, keep="/k", permanent=["*"]) == (None, [])
    wants = {"storage": {"memory": ["a"]}}, {"is_all": True}, {"env": {"CAPIO_STORE_ONLY_MEMORY": "1"}}
    assert [decide(disk, **more) for more in wants] == [(dict(kind="memory", is_all=is_all), []) for is_all in (False, True, True)]
    assert decide(memory, "/k", storage={"fs": ["a"]}) == (dict(kind="fs", beside="/k"), [])
    assert "storage.fs" in decide(memory, storage={"fs": ["a"]})[1][0] and "give --keep DIR" in decide(memory, permanent=["a"])[1][0]
    monkeypatch.setattr(storage, "is_in_memory", lambda _: False)
    for more in wants:
        assert "its nodes share it" in decide(disk, **more, is_shared=True)[1][0] and f"{names.folder()} isn't in memory either" in decide(disk, **more)[1][0]
