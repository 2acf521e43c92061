"""A store that is mounted to be written to: programs make, change, rename and remove files, and what they synced survives the mount. What only reads is in test_mount.py."""

import errno
import mmap
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import h5py
import numpy as np
import pytest

pytest.importorskip("fsspec", reason="fsspec isn't installed: pip install -e '.[posix]'")
try:
    import fuse  # noqa: F401
except (ImportError, OSError) as missing:
    pytest.skip(f"no FUSE here: {missing}", allow_module_level=True)

from wrp.cte import Store

MIB = 1 << 20


class Mount:
    """A mount of the store in `folder`; ended by `end`."""

    def __init__(self, folder, *options, **environment):
        self.store, self.place = folder / "store", folder / "files"
        self.place.mkdir()
        command = [sys.executable, "-m", "wrp.cee.doors.mount", str(self.place), "--store", str(self.store), "--write", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
        end = time.monotonic() + 40
        while not os.path.ismount(self.place) and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if self.process.poll() is not None:
            said = self.process.communicate()[1]
            assert "refuses to mount" in said, said
            pytest.skip(said)

    def end(self, how=signal.SIGTERM):
        """(exit code, what it said)."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        said = self.process.communicate(timeout=20)[1]
        if how == signal.SIGKILL:
            subprocess.run(["fusermount", "-u", "-z", self.place], check=True)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def mounted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mounted")
    with Store.open(folder / "store") as store:
        store.put("taken", "description", b"binary<test>"), store.put("taken", "chunk_0", b"1,2\n")
        for tag, blob in (("old", "sub/deep/x"), ("old", "sub/y"), ("laid", "a/b/c"), ("laid", "a/d"), ("laid", "b/c/d"), ("laid", "c"), ("laid/a/b", "d"), ("laid/d/a", "b/c")):
            store.put(tag, blob, blob.encode())
    made = Mount(folder)
    yield made.place
    assert made.end() == (0, "") and not os.path.ismount(made.place)


@pytest.fixture
def place(mounted, request):
    """A folder of the test's own."""
    path = mounted / request.node.name.replace("[", "_").replace("]", "")
    path.mkdir()
    return path


def run(command, **more):
    return subprocess.run(command, shell=True, capture_output=True, timeout=40, text=True, **more)


def test_programs_write_files(place, tmp_path):
    for number, name in enumerate(("a", "b", "d/c", "d/e/f")):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(os.urandom(number * 900_001))
    done = run(f"""set -e
        cp -r {tmp_path}/source here && diff -r {tmp_path}/source here
        touch -d '2001-02-03 04:05:06' here/b && touch -m -d '2002-03-04 05:06:07' here/b && test "$(stat -c '%x %y' here/b | cut -c1-19,36-55)" = '2001-02-03 04:05:06 2002-03-04 05:06:07'
        tar cf all.tar -C here . && mkdir there && tar xf all.tar -C there && diff -r here there && test $(stat -c %Y there/b) = $(stat -c %Y here/b) && touch there/b && test there/b -nt here/d
        cp -p {tmp_path}/source/b kept && test ! kept -nt {tmp_path}/source/b -a ! kept -ot {tmp_path}/source/b
        dd if={tmp_path}/source/d/c of=copied bs=100k conv=fsync status=none && cmp copied here/d/c
        dd if={tmp_path}/source/b of=copied bs=1k seek=3 count=2 conv=notrunc status=none
        echo one > log; echo two >> log; test "$(cat log)" = "$(printf 'one\\ntwo')"
        truncate -s 1000 log; test $(stat -c %s log) = 1000; truncate -s 3 log; test "$(cat log)" = one
        mv here/b log && cmp log there/b
        mv there moved && test ! -e there && diff -r moved/d here/d
        rm -r moved here all.tar && mkdir -p a/b/c && rmdir a/b/c && rmdir a/b && test -d a
        test $(df -B1 --output=avail . | tail -1) -gt 1000000
        python3 -c "import os; os.posix_fallocate(os.open('log', os.O_RDWR), 0, 100_000)" && test $(stat -c %s log) = 100000 && cmp -n 3 log there/b && ! fallocate -l 9 log 2> said && grep -q "not supported" said && rm said
        chmod 600 log && test $(stat -c %a log) = 600
        mkdir -m 700 own && test $(stat -c %a own) = 700 && rmdir own && touch "ä 日" && test "$(ls | grep ä)" = "ä 日" && rm "ä 日"
        time=$(stat -c %Y.%y kept) && mv kept moved && sleep 1.1 && test "$(stat -c %Y.%y moved)" = "$time" && echo >> moved && test "$(stat -c %Y.%y moved)" != "$time" && mv moved kept""", cwd=place)
    assert done.returncode == 0, done.stderr
    data = bytearray((tmp_path / "source" / "d/c").read_bytes())
    data[3072:5120] = (tmp_path / "source" / "b").read_bytes()[:2048]
    assert (place / "copied").read_bytes() == data and sorted(os.listdir(place)) == ["a", "copied", "kept", "log"]


def refusals(place):
    """(error number, call) of what can't be done."""
    (place / "full").mkdir()
    (place / "full" / "file").touch(), (place / "plain").touch()
    top = place.parent
    return ((errno.EPERM, lambda: open(top / "file at the top", "w")), (errno.EPERM, lambda: os.rename(place / "full" / "file", top / "file")),
            (errno.EPERM, lambda: os.symlink("a", place / "link")), (errno.EPERM, lambda: os.link(place / "full" / "file", place / "link")),
            (errno.EPERM, lambda: os.mkfifo(place / "fifo")), (errno.EPERM, lambda: open(top / "taken", "r+b")), (errno.ENOTEMPTY, lambda: os.rmdir(place / "full")),
            (errno.ENOENT, lambda: open(place / "none", "r+b")), (errno.EEXIST, lambda: open(place / "full" / "file", "xb")), (errno.EISDIR, lambda: open(place / "full", "wb")),
            (errno.ENOTDIR, lambda: os.rename(place / "full", place / "plain")), (errno.EISDIR, lambda: os.rename(place / "full" / "file", top / "old")),
            (errno.ENOSPC, lambda: os.truncate(place / "full" / "file", 1 << 50)), (errno.EILSEQ, lambda: open(os.fsencode(place / "odd") + b"\xff", "w")),
            (errno.EILSEQ, lambda: os.mkdir(os.fsencode(place / "odd") + b"\xff")), (errno.ENOENT, lambda: os.stat(os.fsencode(place / "odd") + b"\xff")),
            (errno.ENAMETOOLONG, lambda: deep(place / "deep")))


def deep(path):
    """Make folders in folders until that is refused; they go again."""
    path.mkdir()
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path)
        for _ in range(30):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.fchdir(before)
        os.close(before)
        shutil.rmtree(path)


def test_refusals_have_their_numbers(place):
    for number, call in refusals(place):
        with pytest.raises(OSError) as refused:
            call()
        assert refused.value.errno == number
    assert os.listdir(place) == ["full", "plain"] and os.path.getsize(place / "full" / "file") == 0 and (place.parent / "taken").read_bytes() == b"1,2\n"


def test_folders_within_a_tag_are_folders(place):
    """A folder that is there only by the names of a tag's blobs stays when the last of them goes, as programs expect."""
    old = place.parent / "old"
    os.rename(old / "sub", place / "sub")
    assert (place / "sub/deep/x").read_bytes() == b"sub/deep/x" and os.listdir(old) == []
    assert run(f"rm -r {place}/sub").returncode == 0 and os.listdir(place) == []
    os.rename(place.parent / "taken", place / "taken")
    assert (place / "taken").read_bytes() == b"1,2\n"
    os.rename(place / "taken", place.parent / "taken")


@pytest.mark.parametrize("seed, longest", [(1, 3000), (2, 200_000)])
def test_a_file_is_what_a_bytearray_is(place, seed, longest):
    made, model, path = random.Random(seed), bytearray(), place / "file"
    path.touch()
    files = [open(path, "r+b", buffering=0) for _ in range(3)]
    for number in range(400):
        file, what = made.choice(files), made.choice(("write", "write", "write", "append", "read", "read", "truncate", "mapped", "rename", "sync", "reopen"))
        offset, data = made.randrange(2 * longest), made.randbytes(made.randrange(1, longest))
        if what == "write":
            os.pwrite(file.fileno(), data, offset)
            model.extend(bytes(max(0, offset + len(data) - len(model))))
            model[offset:offset + len(data)] = data
        elif what == "append":
            with open(path, "ab") as end:
                end.write(data)
            model += data
        elif what == "read":
            assert os.pread(file.fileno(), len(data), offset) == model[offset:offset + len(data)]
        elif what == "truncate":
            file.truncate(offset)
            del model[offset:]
            model.extend(bytes(offset - len(model)))
        elif what == "mapped" and model:
            with mmap.mmap(file.fileno(), len(model)) as mapped:
                at = made.randrange(len(model))
                data = data[:len(model) - at]
                mapped[at:at + len(data)] = data
                model[at:at + len(data)] = data
        elif what == "rename":
            path = path.rename(place / f"file {number}")
        elif what == "sync":
            os.fsync(file.fileno())
        elif what == "reopen":
            files.remove(file)
            file.close()
            files.append(open(path, "r+b", buffering=0))
        assert os.path.getsize(path) == len(model)
    for file in files:
        file.close()
    assert path.read_bytes() == model


@pytest.mark.parametrize("seed, laid", [(1, False), (2, False), (3, True)])
def test_a_tree_is_what_a_file_system_s_is(place, tmp_path, seed, laid):
    """Each call in a folder of the mount and in one of this machine: the same result, or the same error, and in the end the same files. `laid`: blobs whose names have slashes."""
    made, place = random.Random(seed), place.parent / "laid" if laid else place
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    for number in range(500):
        what = made.choice(("mkdir", "mkdir", "create", "create", "write", "append", "rename", "rename", "rename", "unlink", "rmdir", "truncate", "stat", "list", "clear"))
        one, other = ("/".join(made.choice("abcd") for _ in range(made.choice((1, 2, 2, 3)))) for _ in range(2))
        data, nbytes = made.randbytes(made.randrange(5000)), made.randrange(9000)
        results = [_done(what, folder / one, folder / other, data, nbytes) for folder in (place, tmp_path)]
        assert results[0] == results[1], (number, what, one, other)
    assert _tree(place) == _tree(tmp_path)


def _done(what, path, other, data, nbytes):
    try:
        if what in ("create", "write", "append"):
            with open(path, {"create": "xb", "write": "wb", "append": "ab"}[what]) as file:
                return file.write(data)
        calls = {"mkdir": path.mkdir, "rename": lambda: os.rename(path, other), "unlink": path.unlink, "rmdir": path.rmdir, "truncate": lambda: os.truncate(path, nbytes),
                 "stat": lambda: path.is_dir() or path.stat().st_size, "list": lambda: sorted(os.listdir(path)), "clear": lambda: nbytes < 2000 and shutil.rmtree(path)}
        found = calls[what]()
        return found if what in ("stat", "list") else None
    except OSError as error:
        return error.errno


def _tree(folder):
    return {str(path.relative_to(folder)): path.is_dir() or path.read_bytes() for path in folder.rglob("*")}


def test_readers_see_old_or_new(place):
    """Of what is written at once within a page, by another process: of each byte, and never the older again."""
    program = "import os, sys\nfor number in range(400):\n    with open(sys.argv[1], 'r+b', buffering=0) as file:\n        os.pwrite(file.fileno(), bytes([number % 251]) * 4096, 8192)"
    (place / "file").write_bytes(bytes(20_000))
    with subprocess.Popen([sys.executable, "-c", program, place / "file"]) as writer:
        seen = [b"\0" * 4096]
        while writer.poll() is None:
            with open(place / "file", "rb", buffering=0) as file:
                seen.append(os.pread(file.fileno(), 4096, 8192))
    assert writer.returncode == 0 and all(len(page) == 4096 for page in seen)
    # where the system copies a page for a reader while it copies it from the writer, some bytes are still the old ones, in any folder
    pages = np.array([np.frombuffer(page, np.uint8) for page in seen], np.int64)
    steps = np.diff(pages, axis=0) % 251
    assert len(np.unique(pages)) > 10 and (steps.sum(axis=0) <= 399).all()


def test_a_file_without_a_name_is_there_for_those_who_have_it(place):
    with open(place / "file", "w+b") as file:
        file.write(b"x" * 300_000)
        file.flush()
        os.unlink(place / "file")
        assert not (place / "file").exists()
        file.write(b"y")
        file.seek(299_999)
        assert file.read() == b"xy"
    assert os.listdir(place) == []


def test_databases_and_their_locks(place):
    with closing(sqlite3.connect(place / "db", timeout=0.1)) as one, closing(sqlite3.connect(place / "db", timeout=0.1)) as two:
        one.execute("pragma journal_mode=delete")
        one.execute("create table t(number, text)")
        one.executemany("insert into t values(?, ?)", ((number, os.urandom(60).hex()) for number in range(3000)))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            two.execute("insert into t values(1, 2)")
        two.rollback()
        one.commit()
        one.execute("delete from t where number % 2")
        assert two.execute("select count(*) from t").fetchall() == [(3000,)]
        one.rollback()
        one.execute("delete from t where number % 3")
        one.commit()
        one.execute("vacuum")
        assert two.execute("select count(*) from t").fetchall() == [(1000,)] and two.execute("pragma integrity_check").fetchall() == [("ok",)]


def test_hdf5_files_are_written_and_updated(place):
    values = np.random.default_rng(1).random((300, 1000))
    with h5py.File(place / "x.h5", "w") as file:
        file["plain"] = values
        file.create_dataset("packed", data=values, chunks=(50, 100), compression=1)
    with h5py.File(place / "x.h5", "r+") as file:
        file["plain"][5, 10:20] = -1
        file["later"] = values[:7]
        del file["packed"]
    values[5, 10:20] = -1
    with h5py.File(place / "x.h5", "r") as file:
        assert (file["plain"][()] == values).all() and file["later"].shape == (7, 1000) and "packed" not in file


@pytest.fixture
def left_open():
    """A function that opens a file which its mount doesn't outlast."""
    opened = []

    def make(path):
        opened.append(os.open(path, os.O_RDWR | os.O_CREAT))
        return opened[-1]
    yield make
    for number in opened:
        with pytest.raises(OSError, match="not connected"):
            os.close(number)


def test_what_was_synced_survives_a_killed_mount(tmp_path, left_open):
    made = Mount(tmp_path, "--path", "run")
    data = os.urandom(3 * MIB)
    file, other = left_open(made.place / "synced"), left_open(made.place / "other")
    os.write(file, data)
    os.fsync(file)
    os.rename(made.place / "synced", made.place / "renamed")
    os.write(other, b"1")
    os.fsync(other)
    os.pwrite(file, b"later", 0)
    made.end(signal.SIGKILL)
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get("run", "renamed") == data and store.get("run", "other") == b"1" and store.list("run") == ["other", "renamed"]


def test_the_end_of_a_mount_loses_nothing(tmp_path, left_open):
    made = Mount(tmp_path)
    os.mkdir(made.place / "run")
    os.write(left_open(made.place / "run" / "file"), b"never closed before the end")
    assert made.end(signal.SIGINT) == (0, "")
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get("run", "file") == b"never closed before the end"


def test_no_room_is_told(tmp_path):
    (tmp_path / "small.yaml").write_text("storage:\n  - {path: 'ram::test', bdev_type: ram, capacity_limit: 8m}\n  - {path: data, bdev_type: file, capacity_limit: 16m}\n")
    made = Mount(tmp_path, WRP_RUNTIME_CONF=str(tmp_path / "small.yaml"))
    os.mkdir(made.place / "run")
    with open(made.place / "run" / "file", "wb") as file:
        file.write(b"fits" * 1000)
    with pytest.raises(OSError) as refused, open(made.place / "run" / "big", "wb", buffering=0) as file:
        for _ in range(64):
            file.write(bytes(MIB))
    assert refused.value.errno == errno.ENOSPC
    os.unlink(made.place / "run" / "big")
    assert (made.place / "run" / "file").read_bytes() == b"fits" * 1000
    assert made.end()[0] == 0
