"""The operations of a mount as the kernel asks for them, without one: what programs seldom meet. Programs themselves are in test_mount_writes.py."""

import os
import time
from collections import Counter
from errno import EEXIST, EIO, ENOENT, ENOSPC, EPERM
from random import Random

import pytest

pytest.importorskip("fsspec", reason="fsspec isn't installed: pip install -e '.[posix]'")
try:
    from fuse import FuseOSError
except (ImportError, OSError) as missing:
    pytest.skip(f"no FUSE here: {missing}", allow_module_level=True)

from harness.daemons import Running
from wrp.cee.doors import opened
from wrp.cee.doors.filesystem import WrpFileSystem
from wrp.cee.doors.folders import Folders
from wrp.cee.doors.growing import Growing
from wrp.cee.doors.mounted import Files
from wrp.cte import Store
from wrp.errors import OutOfSpace
from wrp.runtime.config import load

MIB = 1 << 20
FLAGS = os.O_RDWR | os.O_CREAT


def files_of(store):
    return Files(WrpFileSystem(store, skip_instance_cache=True), "", True)


def refused(files, *call):
    """The error number of a call."""
    with pytest.raises(FuseOSError) as error:
        files(*call)
    return error.value.errno


@pytest.fixture
def small(tmp_path):
    """A function that opens a store with room for 16 MiB; what it keeps in a folder is taken out at the end, for which there is room."""
    (tmp_path / "small.yaml").write_text("storage: [{path: 'ram::test', bdev_type: ram, capacity_limit: 16m}]\n")
    made = []

    def make(folder=None):
        made.append(Store.open(folder, config=load(tmp_path / "small.yaml")))
        return made[-1]
    yield make
    for store in made:
        store.close()


def fill(store):
    """Put blobs until there is hardly any room."""
    nbytes, number = 8 * MIB, 0
    while nbytes > 32 << 10:
        try:
            store.put("full", f"{nbytes} {number}", os.urandom(nbytes))
            number += 1
        except MemoryError:
            nbytes //= 2


def test_a_full_store_has_room_again_when_a_file_is_cut(small):
    store = small()
    files = files_of(store)
    files("mkdir", "/run", 0o755)
    handle = files("create", "/run/file", 0o644, FLAGS)
    files("write", "/run/file", b"x" * 700_000, 0, handle)
    fill(store)
    assert refused(files, "flush", "/run/file", handle) == ENOSPC
    files("truncate", "/run/file", 0, handle)
    files("flush", "/run/file", handle), files("release", "/run/file", handle)
    assert store.size("run", "file") == 0


def test_no_room_for_one_file_is_not_told_to_who_writes_another(small, monkeypatch):
    monkeypatch.setattr(opened, "_MOST_WAITING", MIB)
    store = small()
    files = files_of(store)
    files("mkdir", "/run", 0o755)
    big, little = (files("create", f"/run/{name}", 0o644, FLAGS) for name in ("big", "little"))
    files("write", "/run/big", b"b" * 900_000, 0, big)
    store.put("full", "spare", bytes(64 << 10))
    fill(store)
    store.delete("full", "spare")
    for number in range(30):
        assert files("write", "/run/little", b"l" * 20_000, 0, little) == 20_000
    files("flush", "/run/little", little)
    assert store.get("run", "little") == b"l" * 20_000 and refused(files, "flush", "/run/big", big) == ENOSPC
    assert refused(files, "write", "/run/big", bytes(200_000), 900_000, big) == ENOSPC and files("getattr", "/run/big")["st_size"] == 900_000
    files("truncate", "/run/big", 0, big)
    files.close()


@pytest.fixture
def looked_after(memory, monkeypatch):
    """A mount of a folder `run` that puts at once what waits, and a handle of the file `log` in it."""
    monkeypatch.setattr(opened, "_LONGEST_S", 0)
    monkeypatch.setattr(opened, "_LOOKS_S", 0.01)
    memory.create("run")
    files = files_of(memory)
    handle = files("create", "/run/log", 0o644, FLAGS)
    yield files, handle
    files.close()


def reaches(size, memory):
    """Whether the file gets so long for others."""
    end = time.monotonic() + 30
    while memory.size("run", "log") != size and time.monotonic() < end:
        time.sleep(0.01)
    return memory.size("run", "log") == size


def test_what_waits_is_put_while_nobody_writes(memory, looked_after):
    files, handle = looked_after
    files("init", "/")
    files("write", "/run/log", b"a line\n", 0, handle)
    assert reaches(7, memory) and memory.get("run", "log") == b"a line\n"


def test_a_length_alone_is_put_while_nobody_writes(memory, looked_after):
    """Of a file that was written behind a gap, and cut in the gap, there are no bytes to put."""
    files, handle = looked_after
    files("write", "/run/log", b"behind a gap", 100, handle)
    files("truncate", "/run/log", 40, handle)
    assert not memory.size("run", "log")
    files("init", "/")
    assert reaches(40, memory)


def test_an_error_of_any_kind_is_of_one_file_and_one_moment(memory, looked_after, monkeypatch, capsys):
    files, handle = looked_after
    put, failed = Growing.put, []

    def fails(growing):
        if growing.is_waiting and not failed:
            failed.append(growing)
            raise MemoryError("no page")
        put(growing)
    monkeypatch.setattr(Growing, "put", fails)
    files("init", "/")
    files("write", "/run/log", b"a line\n", 0, handle)
    assert reaches(7, memory) and failed
    files("write", "/run/log", b"another", 7, handle), failed.clear(), files._opened.stop(60)
    assert refused(files, "flush", "/run/log", handle) == EIO and capsys.readouterr().err == "wrp.cee.doors.mount: flush: MemoryError: no page\n"


def test_names_are_listed_per_folder_not_per_file(memory, monkeypatch):
    """A tree within a tag goes as rm -r takes it away: whether its folders are left empty is known without a look at all names for each file."""
    def listed(count):
        for number in range(count):
            memory.put("old", f"sub/deep/{number}", b"x")
        files, calls = files_of(memory), []
        for name in ("list", "tags", "blobs", "infos"):
            call = getattr(memory, name)
            monkeypatch.setattr(memory, name, lambda *args, call=call, name=name: calls.append(name) or call(*args))
        for path in ("/old/sub/deep", "/old/sub"):
            for name in files("readdir", path, 0)[2:]:
                files("getattr", f"{path}/{name}"), files("unlink", f"{path}/{name}")
            files("rmdir", path), files("getattr", path.rpartition("/")[0])
        monkeypatch.undo()
        assert memory.list("old") == [] and memory.tags() == ["old"]
        return len(calls)
    assert listed(200) == listed(2)


@pytest.mark.parametrize("seed", range(3))
def test_folders_are_kept_up(memory, seed):
    """Whatever is made, moved and removed: what is counted is what lies there, hidden names and second names of a tag too."""
    random = Random(seed)
    for tag, blob in (("a", "b/c/x"), ("a/b", "c/x"), ("a", "c/y"), ("b/a", "x"), ("a/c/b", "y")):
        memory.put(tag, blob, b"1")
    if seed == 2:
        memory.alias("a", "c")
    files, parts, done = files_of(memory), "abcx", Counter()
    for _ in range(600):
        path, other = ("/" + "/".join(random.choices(parts, k=random.randint(1, 4))) for _ in range(2))
        call = random.choice((("create", path, 0o644, FLAGS), ("mkdir", path, 0o755), ("unlink", path), ("rmdir", path), ("rename", path, other)))
        try:
            # the kernel asks before
            if call[0] in ("create", "mkdir"):
                files("getattr", os.path.dirname(path))
                assert refused(files, "getattr", path) == ENOENT
            files(*call)
            done[call[0]] += 1
        except (FuseOSError, pytest.fail.Exception):
            pass
        assert set(files._folders) == set(Folders(memory)), call
    assert len(done) == 5, done
    files.close()


def test_an_open_file_follows_its_folder_as_far_as_that_came(memory, monkeypatch):
    """A folder within a tag moves in part when an error comes in between; what is written to its files afterwards is written where they are."""
    for name in ("f/a", "f/b"):
        memory.put("run", name, b"0123")
    files, rename = files_of(memory), memory.rename

    def renamed(tag, blob, *more, **options):
        if blob == "f/b":
            raise OutOfSpace("full")
        rename(tag, blob, *more, **options)
    handles = {name: files("open", f"/run/f/{name}", os.O_RDWR) for name in "ab"}
    files("chmod", "/run/f/a", 0o600)
    with monkeypatch.context() as patched:
        patched.setattr(memory, "rename", renamed)
        assert refused(files, "rename", "/run/f", "/run/g") == ENOSPC
    assert files("getattr", "/run/g/a")["st_mode"] & 0o777 == 0o600
    for folder, name in (("g", "a"), ("f", "b")):
        files("write", f"/run/{folder}/{name}", b"!", 0, handles[name]), files("flush", f"/run/{folder}/{name}", handles[name])
        assert memory.get("run", f"{folder}/{name}") == b"!123"
    assert memory.list("run") == ["f/b", "g/a"]


def test_folders_of_a_checkpoint_come_and_go_with_those_of_its_source(memory):
    memory.put("run/s1", "a", b"1"), memory.put("run/s1", "sub/b", b"2")
    memory.checkpoint("run/s2", "run/s1")
    files = files_of(memory)
    assert files("getattr", "/run/s2/sub")["st_mode"] & 0o40000
    files("unlink", "/run/s1/sub/b")
    assert refused(files, "getattr", "/run/s2/sub") == ENOENT and files("readdir", "/run/s2", 0) == [".", "..", "a"]
    files("create", "/run/s1/new/x", 0o644, FLAGS)
    assert files("getattr", "/run/s2/new")["st_mode"] & 0o40000 and files("readdir", "/run/s2", 0) == [".", "..", "a", "new"]
    files("rename", "/run/s1/new/x", "/run/s1/newer/x")
    assert refused(files, "getattr", "/run/s2/new") == ENOENT and files("readdir", "/run/s2/newer", 0) == [".", "..", "x"]


def test_what_a_checkpoint_shows_of_its_source_is_neither_removed_nor_renamed_through_it(memory):
    memory.put("run/s1", "a", b"1"), memory.put("run/s1", "sub/b", b"2")
    memory.checkpoint("run/s2", "run/s1"), memory.put("run/s2", "own", b"3")
    files, fs = files_of(memory), WrpFileSystem(memory, skip_instance_cache=True)
    assert refused(files, "unlink", "/run/s2/a") == refused(files, "rename", "/run/s2/a", "/run/s2/c") == EPERM
    for path in ("run/s2/a", "run/s2/sub"):
        with pytest.raises(PermissionError, match="shows what is another tag's: change it there"):
            fs.rm(path, recursive=True)
    files("unlink", "/run/s2/own")
    assert memory.list("run/s2") == memory.list("run/s1") == ["a", "sub/b"]
    fs.rm("run/s2", recursive=True)
    assert memory.tags() == ["run/s1"] and memory.get("run/s1", "a") == b"1"
    memory.checkpoint("run/s2", "run/s1")
    fs.rm("run", recursive=True)                # source and checkpoint at once
    assert memory.tags() == [] and not fs.exists("run")


@pytest.fixture
def served(tmp_path):
    """The name of a daemon that serves a store."""
    conf = tmp_path / "conf.yaml"
    conf.write_text('''runtime: {segment_capacity: 256m}
compose: [{mod_name: wrp_cte_core, pool_name: cte_main, storage: [{path: "ram::mounted", capacity_limit: 32m}]}]''')
    running = Running(f"mounted{os.getpid()}", conf, 0, {"WRP_STORE": ""})
    try:
        yield running.name
    finally:
        running.end()


def test_what_others_do_in_a_daemons_store_is_seen(served):
    with Store.attach(served) as store, Store.attach(served) as other:
        files = files_of(store)
        assert refused(files, "getattr", "/outer") == ENOENT
        other.put("outer/inner", "a", b"1")
        assert files("readdir", "/", 0) == [".", "..", "outer"] and files("getattr", "/outer")["st_mode"] & 0o40000
        handle = files("open", "/outer/inner/a", os.O_RDWR)
        assert files("read", "/outer/inner/a", 9, 0, handle) == b"1"
        other.put("outer/inner", "a", b"longer")
        assert files("read", "/outer/inner/a", 9, 0, handle) == b"longer" and files("getattr", "/outer/inner/a")["st_size"] == 6
        other.put("outer/inner", "a", b"other!")
        assert files("read", "/outer/inner/a", 9, 0, handle) == b"other!"
        assert refused(files, "create", "/outer/inner/a", 0o644, FLAGS | os.O_EXCL) == EEXIST
        again = files("create", "/outer/inner/a", 0o644, FLAGS)        # who wants to make it, and has just not found it
        files("write", "/outer/inner/a", b"OT", 0, again), files("flush", "/outer/inner/a", again)
        assert other.get("outer/inner", "a") == b"OTher!"
        # one that others remove isn't made anew by who writes on; who makes it has a new one
        files("write", "/outer/inner/a", b"behind", 5000, handle)
        other.delete("outer/inner", "a")
        assert refused(files, "flush", "/outer/inner/a", handle) == ENOENT and refused(files, "read", "/outer/inner/a", 9, 0, again) == ENOENT
        assert not other.exists("outer/inner", "a")
        made = files("create", "/outer/inner/a", 0o644, FLAGS | os.O_EXCL)
        files("write", "/outer/inner/a", b"new", 0, made), files("release", "/outer/inner/a", made)
        assert refused(files, "fsync", "/outer/inner/a", 0, again) == ENOENT and other.get("outer/inner", "a") == b"new"
        files("release", "/outer/inner/a", again)
        assert refused(files, "release", "/outer/inner/a", handle) == ENOENT and other.get("outer/inner", "a") == b"new"
        files("create", "/outer/inner/a", 0o644, FLAGS | os.O_TRUNC)
        other.put("outer/inner", "b", b"other")
        files("create", "/outer/inner/b", 0o644, FLAGS | os.O_TRUNC)
        assert other.size("outer/inner", "a") == other.size("outer/inner", "b") == 0 and files("getattr", "/outer/inner/a")["st_size"] == 0
        files.close()


def test_of_two_mounts_of_a_daemon_that_make_a_folder_at_once_one_is_told_that_it_is_there(served, monkeypatch):
    with Store.attach(served) as store, Store.attach(served) as other:
        files, others = files_of(store), files_of(other)
        look, raced = files._find, []

        def late(store, path):          # who has just looked is overtaken
            found = look(store, path)
            if path.startswith("lock") and not raced:
                raced.append(others("mkdir", f"/{path}", 0o755))
            return found
        monkeypatch.setattr(files, "_find", late)
        assert refused(files, "mkdir", "/lock", 0o755) == EEXIST and raced and refused(others, "mkdir", "/lock", 0o755) == EEXIST
        files("rmdir", "/lock"), others("mkdir", "/lock", 0o755)
        fs = WrpFileSystem(store, skip_instance_cache=True)
        monkeypatch.setattr(fs, "exists", lambda path: False)
        fs.makedirs("lock", exist_ok=True)
        with pytest.raises(FileExistsError):
            fs.makedirs("lock")
        files.close(), others.close()
