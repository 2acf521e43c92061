"""Files that lie elsewhere than CAPIO_DIR does, as `storage` says: programs see one folder, each file lies where it should, and is at its name at the end."""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from capio.served import LIMIT_S, Flow, document, needs_compiler
from wrp.capio import language, wire
from wrp.capio.client import Client
from wrp.capio.commands import storage
from wrp.capio.server import depot, keeping, place
from wrp.comm import names

_RULES = {"m*": "on_close no_update", "f*": "on_close no_update", "d/*": "on_close update"}
_ON_DISK = pytest.mark.skipif(storage.is_in_memory(tempfile.gettempdir()), reason="the folder of tests is in memory")
_SEEN = [pytest.param("shim", marks=needs_compiler), "python", "seccomp"]


def _workflow(**more):
    return document(permanent=["mkept*", "fkept*"], **_RULES) | {"storage": more or {"memory": ["m*", "d"], "fs": ["fkept*"]}}


@pytest.fixture
def flow(tmp_path):
    made = Flow(tmp_path, _workflow())
    yield made
    made.end()


@pytest.fixture
def memory():
    path = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


def _in_memory(flow):
    """{names below CAPIO_DIR whose bytes lie in memory}."""
    return {str(path.relative_to(flow.dir)) for path in flow.dir.rglob("*") if path.is_file() and storage.is_in_memory(path)}


def _depot(flow):
    return place.folder(flow.name) / depot.NAME


_PROGRAMS = """cd $CAPIO_DIR; umask 027; echo m > m1; echo f > f1; mkdir d; echo d > d/e
set -C; echo again > m1 || echo refused; set +C; echo more >> m1
ls -F; stat -c '%F %a' m1; find . -type l; readlink m1 || echo no link; test -L m1 || echo none; tar cf - m1 | tar tvf - | cut -c1-10; cp -P m1 f2; cat f2
mv m1 m2; mv m2 d/m3; mv d D; cat D/m3; cp D/m3 m1; mv D/m3 m1; ls D m1; rm D/e; rmdir D; mv m1 ../out; cat ../out; test -e m1 || echo gone
"""
_SAID = """refused
f1
m1
d/
regular file 640
no link
none
-rw-r-----
m
more
m
more
m1

D:
e
m
more
gone
"""


@_ON_DISK
@needs_compiler
def test_programs_see_files_and_no_links(flow):
    code, out, _ = flow.run("writer", _PROGRAMS)
    assert (code, sorted(out.decode().splitlines())) == (0, sorted(_SAID.splitlines()))
    flow.wait_for(lambda _: not list(_depot(flow).iterdir()))           # nothing is left of what is gone
    assert not os.path.islink(flow.folder / "out") and not any(path.is_symlink() for path in flow.dir.rglob("*"))


_MAKE = {"shim": "cd $CAPIO_DIR; umask 027; echo m > m1; echo f > f1; mkdir d; echo d > d/e; echo k > mkept; echo k > fkept; echo u > undeclared",
         "python": ["python3", "-c", "import os; os.chdir(os.environ['CAPIO_DIR']); os.umask(0o27); os.mkdir('d')\n"
                    "for name, mode in (('m1', 'w'), ('f1', 'x'), ('d/e', 'x'), ('mkept', 'w'), ('fkept', 'w'), ('undeclared', 'w')): open(name, mode).write('m\\n')\n"
                    "try: open('m1', 'x')\nexcept FileExistsError: pass\nelse: raise SystemExit(1)"]}


@_ON_DISK
@pytest.mark.parametrize("via", _SEEN)
def test_each_file_lies_where_it_should_and_is_at_its_name_at_the_end(flow, via):
    flow.hold("writer")
    wrote = flow.launch("writer", _MAKE.get(via, _MAKE["shim"]), via)
    assert wrote.wait(LIMIT_S) == 0, wrote.stderr.read()
    assert _in_memory(flow) == {"m1", "mkept", "d/e"} and (flow.dir / "m1").stat().st_mode & 0o777 == 0o640
    there = [path for path in _depot(flow).iterdir()]
    assert len(there) == 3
    flow.release("writer")
    assert flow.end() == 0 and not place.folder(flow.name).exists()
    assert {path.name: path.is_symlink() for path in flow.dir.iterdir()} == {"mkept": False, "fkept": False, "undeclared": False, "d": False}
    assert (flow.dir / "mkept").stat().st_mode & 0o777 == 0o640 and not storage.is_in_memory(flow.dir / "mkept")


@_ON_DISK
@needs_compiler
@pytest.mark.parametrize("via, read", [*((via, read) for via in ("shim", "seccomp") for read in (
    "cat $CAPIO_DIR/m1", "cat < $CAPIO_DIR/m1", "dd if=$CAPIO_DIR/m1 bs=4 status=none", "cat /dev/stdin < $CAPIO_DIR/m1")), ("shim", "cp -P $CAPIO_DIR/m1 /proc/self/fd/1")])
def test_a_file_in_memory_is_read_as_it_grows(flow, via, read):
    flow.hold("writer", "reader")
    wrote = flow.start("writer", "exec > $CAPIO_DIR/m1; echo one; read; echo two", stdin=True)
    reads = (flow.launch if via == "seccomp" else flow.start)("reader", read, via)
    assert reads.stdout.readline() == b"one\n"
    wrote.communicate(b"\n")
    assert reads.communicate(timeout=LIMIT_S)[0] == b"two\n"


@_ON_DISK
@needs_compiler
def test_a_name_that_somebody_else_takes_meanwhile_is_theirs(flow):
    made = flow.start("writer", ["python3", "-c", "import os, sys\nfor n in range(200):\n"
                                 " try: os.close(os.open(f'{os.environ[\"CAPIO_DIR\"]}/m{n}', os.O_CREAT | os.O_EXCL | os.O_WRONLY)); print(n)\n except FileExistsError: pass"])
    other = flow.run("writer", ["python3", "-c", "import os, sys\nfor n in range(200):\n"
                                " try: os.close(os.open(f'{os.environ[\"CAPIO_DIR\"]}/m{n}', os.O_CREAT | os.O_EXCL | os.O_WRONLY)); print(n)\n except FileExistsError: pass"])
    one, two = made.communicate()[0].split(), other[1].split()
    assert sorted(map(int, one + two)) == list(range(200)) and _in_memory(flow) == {f"m{n}" for n in range(200)}
    assert len(list(_depot(flow).iterdir())) == 200


_EXCHANGES = """import ctypes, os, signal, sys
remove = os.unlink
if sys.argv[1] == "server":
    from wrp.capio.server.depot import unlink as remove
os.chdir(os.environ["CAPIO_DIR"])
libc, count, is_arm = ctypes.CDLL(None), 200, os.uname().machine == "aarch64"
number = ctypes.c_long(276 if is_arm else 316)
if sys.argv[1] == "nobody":
    remove = lambda name: libc.syscall(ctypes.c_long(35 if is_arm else 263), -100, name.encode(), 0)
for n in range(count):
    for name in (b"ma%d" % n, b"mb%d" % n):
        with open(name, "wb") as file: file.write(name)
now, other = os.pipe()
pid = os.fork()
if not pid:
    for n in range(count):
        one, two = b"ma%d" % n, b"mb%d" % n
        os.write(other, b"x")
        for _ in range(2000):           # as nobody sees it; until one of them is gone, which may be long where the other process gets no core
            if libc.syscall(number, -100, one, -100, two, 2): break
    os._exit(0)
for n in range(count):
    os.read(now, 1)
    remove(f"ma{n}")
os.waitpid(pid, 0)
lost = [n for n in range(count) if not os.path.exists(f"mb{n}")]
print(f"{len(lost)} lost, {len(os.listdir('.'))} left")
"""


@_ON_DISK
@needs_compiler
@pytest.mark.parametrize("who", ["shim", "server", "nobody"])
def test_a_removal_while_another_process_exchanges_names_takes_the_file_whose_name_went(flow, who):
    env = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    assert flow.run("writer", [sys.executable, "-c", _EXCHANGES, who], **env)[1:] == (b"0 lost, 200 left\n", "")
    flow.wait_for(lambda _: len(list(_depot(flow).iterdir())) <= 200)           # the server has taken all in by then
    assert [path for path in flow.dir.iterdir() if not path.exists()] == []


@_ON_DISK
def test_an_open_whose_argument_ends_too_soon_leaves_no_file(flow):
    """Its record lies at the end of the memory that the program has."""
    code = ("import ctypes, os, struct\nlibc = ctypes.CDLL(None, use_errno=True)\nlibc.mmap.restype = ctypes.c_void_p\n"
            "at = libc.mmap(None, ctypes.c_size_t(8192), 3, 34, -1, ctypes.c_long(0))\nlibc.munmap(ctypes.c_void_p(at + 4096), ctypes.c_size_t(4096))\n"
            "ctypes.memmove(at + 4084, struct.pack('=QI', os.O_CREAT | os.O_WRONLY, 0o600), 12)\n"
            "print(libc.syscall(ctypes.c_long(437), -100, (os.environ['CAPIO_DIR'] + '/m1').encode(), ctypes.c_void_p(at + 4084), ctypes.c_size_t(24)), ctypes.get_errno())")
    wrote = flow.launch("writer", [sys.executable, "-c", code], "seccomp")
    assert wrote.communicate(timeout=LIMIT_S) == (b"-1 14\n", b"")
    assert not list(flow.dir.iterdir()) and not list(_depot(flow).iterdir())


@_ON_DISK
@needs_compiler
def test_a_killed_server_leaves_what_stays_to_the_next(flow):
    assert flow.run("writer", "cd $CAPIO_DIR; echo k > mkept; echo m > m1; mv mkept mkept2; echo k > mkept; echo u > undeclared; exec 3> m2; kill -9 $$")[0] < 0
    flow.kill_server()
    gone, said = place.tidy_all()
    assert not said and {f"{flow.dir}/m1", f"{flow.dir}/m2"} <= set(gone) and not place.folder(flow.name).exists()
    assert {path.name: (path.is_symlink(), path.read_text()) for path in flow.dir.iterdir()} == {
        "mkept": (False, "k\n"), "mkept2": (False, "k\n"), "undeclared": (False, "u\n")}


@_ON_DISK
@needs_compiler
def test_what_somebody_writes_at_the_end_stays_in_memory_until_they_are_done(flow):
    wrote = flow.start("writer", "exec 3> $CAPIO_DIR/mkept; echo half >&3; echo kept; read; echo more >&3", stdin=True)
    assert wrote.stdout.readline() == b"kept\n"
    flow.client.control("end")
    assert flow.server.wait(LIMIT_S) == 0 and "mkept can't be brought to its name: somebody writes it" in flow.log()
    assert len(place.tidy_all()[1]) == 1 and (flow.dir / "mkept").is_symlink()
    wrote.communicate(b"\n")
    assert place.tidy_all() == ([], []) and not (flow.dir / "mkept").is_symlink() and (flow.dir / "mkept").read_text() == "half\nmore\n"
    assert not place.folder(flow.name).exists()


@_ON_DISK
@needs_compiler
def test_what_somebody_opens_while_it_is_copied_at_the_end_is_theirs(flow):
    assert flow.run("writer", "head -c 64M /dev/zero > $CAPIO_DIR/mkept")[0] == 0
    flow.client.control("end")
    while not (flow.dir / ".mkept.capio").exists() and flow.server.poll() is None:
        pass
    with open(flow.dir / "mkept", "ab") as late:
        assert flow.server.wait(LIMIT_S) == 0
        late.write(b"more")
    assert place.tidy_all() == ([], []) and not (flow.dir / "mkept").is_symlink() and (flow.dir / "mkept").read_bytes()[-5:] == b"\0more"


@_ON_DISK
def test_files_of_which_the_kernel_lost_count_are_found(flow):
    """Its queue overflows while the server is stopped, and files are made then, which are closed later."""
    names = ("m1", "mkept")
    flow.hold("writer")
    with Client(flow.name, "writer") as client:
        there = [client.ask(wire.Request(wire.WRITE, flags=os.O_CREAT | os.O_WRONLY, path=str(flow.dir / name))).text for name in names]
        flow.server.send_signal(signal.SIGSTOP)
        try:
            for number in range(1 + int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())):
                os.close(os.open(flow.dir / f"other{number % 2}", os.O_CREAT | os.O_WRONLY))
            files = [open(path, "x") for path in there]
            for name, path in zip(names, there):
                os.symlink(path, flow.dir / name)
        finally:
            flow.server.send_signal(signal.SIGCONT)
        flow.status()
        for name, file in zip(names, files):
            with file:
                file.write(name)
        assert flow.run("reader", ["python3", "-c", f"print(open('{flow.dir}/m1').read())"], via="python")[1] == b"m1\n"
    flow.release("writer")
    assert flow.end() == 0 and not place.folder(flow.name).exists()
    assert (flow.dir / "mkept").read_text() == "mkept" and not (flow.dir / "mkept").is_symlink() and not (flow.dir / "m1").exists()


@_ON_DISK
@needs_compiler
def test_a_link_that_begins_as_those_of_the_depot_do_is_shown_as_it_is(flow):
    """Whatever the program looked at before."""
    assert flow.run("writer", "cd $CAPIO_DIR; echo m > m1; ln -s / short; readlink m1; readlink short; find . -type l")[1] == b"/\n./short\n"
    code = "import os\nos.chdir(os.environ['CAPIO_DIR'])\nfor name in ('m1', 'short'):\n try: print(os.readlink(name))\n except OSError: print('no link')"
    assert flow.run("writer", ["python3", "-c", code])[1] == b"no link\n/\n"


@_ON_DISK
@needs_compiler
def test_a_link_that_an_unseen_program_takes_away_is_told_of(flow):
    assert flow.run("writer", "echo m > $CAPIO_DIR/m1")[0] == 0
    os.rename(flow.dir / "m1", flow.folder / "away")
    deadline = time.monotonic() + LIMIT_S
    while "m1 was moved out of CAPIO_DIR" not in flow.log():
        assert time.monotonic() < deadline
        flow.status()


@_ON_DISK
@needs_compiler
def test_on_a_file_system_while_the_directory_is_in_memory(memory, tmp_path):
    (tmp_path / "real").mkdir()
    flow = Flow(memory, _workflow(), "--keep", str(tmp_path / "real"))
    try:
        assert flow.run("writer", "cd $CAPIO_DIR; echo k > fkept; echo m > m1; echo k > mkept; ls -F")[1].decode().split() == ["fkept", "m1", "mkept"]
        assert _in_memory(flow) == {"m1", "mkept"} and (flow.dir / "fkept").stat().st_dev == tmp_path.stat().st_dev
        inode = (flow.dir / "fkept").stat().st_ino
        assert flow.run("reader", "cat $CAPIO_DIR/fkept")[1] == b"k\n"
        assert flow.end() == 0
        assert sorted(os.listdir(tmp_path / "real")) == ["fkept", "mkept"] and (tmp_path / "real" / "fkept").stat().st_ino == inode    # it wasn't copied
        assert not list(flow.dir.iterdir())
    finally:
        flow.end()


@_ON_DISK
@needs_compiler
def test_all_in_memory(tmp_path):
    flow = Flow(tmp_path, _workflow(fs=["f*"]), "--mem-only")
    try:
        assert flow.run("writer", "cd $CAPIO_DIR; echo f > f1; echo u > u1; echo w > w1; sed -i s/u/v/ u1; cat u1")[1] == b"v\n"
        assert _in_memory(flow) == {"f1", "w1"}         # the name of u1 was given to a file that sed has made inside of libc
        assert flow.end() == 0 and {path.name: path.read_text() for path in flow.dir.iterdir()} == {"u1": "v\n", "w1": "w\n"}
    finally:
        flow.end()


@_ON_DISK
def test_links_that_lead_nowhere_since_the_machine_ended_go_with_the_next_server(tmp_path):
    (tmp_path / "data").mkdir()
    os.symlink(f"{os.path.realpath(names.folder())}/{place.folder('flow').name}/depot/1", tmp_path / "data" / "m1")
    flow = Flow(tmp_path, _workflow())
    assert not list(flow.dir.iterdir())
    assert flow.end() == 0


def test_a_place_is_chosen_by_the_rules(tmp_path, memory):
    def chosen(path, kind, **more):
        (tmp_path / "capio-0").mkdir(exist_ok=True)
        made = depot.Depot(tmp_path / "capio-0", tmp_path, kind, tmp_path)
        found = made.place(language.parse({"name": "w", "IO_Graph": [], **more}, str(tmp_path)).look(path))
        depot.remove(tmp_path / "capio-0")
        return bool(found)

    rules = {"storage": {"memory": ["m*"], "fs": ["f*"]}, "exclude": ["mx"]}
    assert [chosen(path, "memory", **rules) for path in ("m", "f", "o", "mx")] == [True, False, False, False]
    assert [chosen(path, "fs", **rules) for path in ("m", "f", "o", "mx")] == [False, True, False, False]


@pytest.fixture
def own(tmp_path):
    """A Depot whose files belong in it by their names, and make(name) -> path of a file there that has its link."""
    folder = tmp_path / "capio-0123456789abcdef"
    folder.mkdir()
    made, workflow = depot.Depot(folder, tmp_path, "memory"), language.parse({"name": "w", "IO_Graph": [], "storage": {"memory": ["m*"]}}, str(tmp_path))

    def make(name):
        there = made.place(workflow.look(name))
        Path(there).write_text(name)
        os.symlink(there, tmp_path / name)
        return there

    return made, make


def _settled(made):
    """Two looks with nothing to be told between them."""
    made.settle(), made.settle()
    assert not made.is_unsure


def test_a_name_that_changes_before_the_server_looks_is_followed(own, tmp_path):
    made, make = own
    there = make("m1")
    os.rename(tmp_path / "m1", tmp_path / "m2")
    made.seen(str(tmp_path / "m1"))
    assert made.path_of(there) == str(tmp_path / "m1")     # what was closed before the rename is told by the name that it had
    made.renamed(str(tmp_path / "m1"), str(tmp_path / "m2"), False)
    assert made.path_of(there) == str(tmp_path / "m2") and made.paths(tmp_path) == [str(tmp_path / "m2")]


def test_names_that_are_exchanged_keep_their_files(own, tmp_path):
    made, make = own
    there = [make(name) for name in ("m1", "m2")]
    one, two = (str(tmp_path / name) for name in ("m1", "m2"))
    made.seen(one), made.seen(two)
    os.rename(one, tmp_path / "x"), os.rename(two, one), os.rename(tmp_path / "x", two)
    made.renamed(one, two, False), made.renamed(two, one, False)        # as the kernel tells of an exchange
    assert [made.path_of(path) for path in there] == [two, one] and all(map(os.path.exists, there))


def test_a_file_goes_with_its_last_name(own, tmp_path):
    made, make = own
    there = make("m1")
    os.link(tmp_path / "m1", tmp_path / "m2", follow_symlinks=False)
    for name in ("m1", "m2"):
        made.seen(str(tmp_path / name))
    for name, is_left in (("m2", True), ("m1", False)):
        os.unlink(tmp_path / name)
        made.gone(str(tmp_path / name))
        _settled(made)
        assert os.path.exists(there) == is_left


def test_a_file_whose_new_name_is_told_of_late_stays(own, tmp_path):
    made, make = own
    there = [make(name) for name in ("m1", "m2")]
    one, two, three = (str(tmp_path / name) for name in ("m1", "m2", "m3"))
    made.seen(one), made.seen(two)
    made.settle()
    os.rename(one, tmp_path / "x"), os.rename(two, one), os.rename(tmp_path / "x", two), os.rename(one, three)
    made.renamed(one, two, False), made.renamed(two, one, False)        # an exchange, when what followed it is done
    made.settle()
    made.renamed(one, three, False)
    _settled(made)
    assert [made.path_of(path) for path in there] == [two, three] and all(map(os.path.exists, there))


def test_a_name_that_is_made_again_before_the_server_looks_keeps_its_new_file(own, tmp_path):
    made, make = own
    first = make("m1")
    os.unlink(tmp_path / "m1")
    second = make("m1")
    made.seen(str(tmp_path / "m1"))
    made.gone(str(tmp_path / "m1"))
    made.seen(str(tmp_path / "m1"))
    assert os.path.exists(second) and made.path_of(second) == str(tmp_path / "m1") and not made.path_of(first)
    os.unlink(tmp_path / "m1")
    made.gone(str(tmp_path / "m1"))
    _settled(made)
    assert not os.path.exists(second)


def test_only_links_to_a_depot_are_followed(tmp_path):
    folder = tmp_path / "capio-0123456789abcdef" / "depot"
    folder.mkdir(parents=True)
    (folder / "7").write_text("seven")
    for name, to in (("in", folder / "7"), ("out", tmp_path / "file"), ("other", folder / "x")):
        os.symlink(to, tmp_path / name)
    (tmp_path / "file").write_text("file")
    assert depot.lies_at(str(tmp_path / "in")) == str(folder / "7")
    assert all(depot.lies_at(str(tmp_path / name)) == str(tmp_path / name) for name in ("out", "other", "file", "none"))
    keeping.settle(str(tmp_path / "out"))
    keeping.settle(str(tmp_path / "in"))
    assert os.path.islink(tmp_path / "out") and not os.path.islink(tmp_path / "in") and (tmp_path / "in").read_text() == "seven" and not list(folder.iterdir())
