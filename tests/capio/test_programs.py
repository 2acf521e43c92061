"""Ordinary programs as producers and consumers, through the shim: what comes out is what a run one after the other gives."""

import hashlib
import shutil
import sys

import pytest

from capio.served import document, ended, killed, needs_compiler

pytestmark = needs_compiler

_SLOW = "i=0; while [ $i -lt 6 ]; do printf 'line %d of several\\n' $i; sleep 0.02; i=$((i+1)); done"
_TEXT = "".join(f"line {number} of several\n" for number in range(6)).encode()
_BIG = bytes(range(256)) * 4096 * 3             # 3 MiB
_PY = sys.executable

WRITERS = {
    "bash redirection": f"{{ {_SLOW}; }} > $F",
    "bash append": f"i=0; while [ $i -lt 6 ]; do printf 'line %d of several\\n' $i; i=$((i+1)); done >> $F",
    "dash redirection": f"dash -c \"$SLOW\" > $F",
    "dash inside": 'dash -c "{ $SLOW; } > $F"',
    "cp": "cp $TEXT $F",
    "dd": "dd if=$TEXT of=$F bs=7 status=none",
    "tee": f"{{ {_SLOW}; }} | tee $F > /dev/null",
    "sed w": "sed -n w$F $TEXT",
    "sort -o": "sort -o $F $TEXT",
    "awk": "awk '{print > ENVIRON[\"F\"]}' $TEXT",
    "mv": "cp $TEXT other; mv other $F",
    "python": f"{_PY} -c 'import os,time\nf=open(os.environ[\"F\"],\"w\")\nfor n in range(6):\n print(\"line\",n,\"of several\",file=f,flush=True); time.sleep(0.02)'",
}
READERS = {
    "cat": "cat $F",
    "bash redirection": "cat < $F",
    "bash read": "while IFS= read -r x; do printf '%s\\n' \"$x\"; done < $F",
    "dash redirection": "dash -c 'cat < $F'",
    "cp": "cp $F copy-$$; cat copy-$$",
    "dd": "dd if=$F bs=5 status=none",
    "sed": "sed '' $F",
    "sort": "sort $F",
    "grep": "grep line $F",
    "awk": "awk '{print}' $F",
    "head": "head -n 6 $F",
    "tac": "tac $F | tac",
    "tail": "tail -n 6 $F",
    "python": f"{_PY} -c 'import os,sys\nsys.stdout.write(open(os.environ[\"F\"]).read())'",
    "python lines": f"{_PY} -c 'import os,sys\nfor line in open(os.environ[\"F\"]): sys.stdout.write(line)'",
    "python mmap": f"{_PY} -c 'import os,sys,mmap\nf=open(os.environ[\"F\"],\"rb\"); f.seek(0,2); sys.stdout.buffer.write(mmap.mmap(f.fileno(),0,prot=1))'",
    "python copyfile": f"{_PY} -c 'import os,sys,shutil\nshutil.copyfile(os.environ[\"F\"],\"py-copy\"); sys.stdout.write(open(\"py-copy\").read())'",
    "perl": "perl -ne print $F",
    "wc": "wc -l < $F | tr -d ' \\n' | sed 's/^6$/x/' | grep -q x && cat $F",
}


@pytest.fixture
def text(streaming):
    path = streaming.folder / "text"
    path.write_bytes(_TEXT)
    return path


def exchanged(flow, text, name, writer, reader, is_reader_first):
    more = {"F": str(flow.dir / name), "TEXT": str(text), "SLOW": _SLOW}
    if is_reader_first:
        read = flow.start("reader", reader, **more)
        flow.wait_waiting()
        wrote = flow.start("writer", writer, **more)
    else:
        wrote = flow.start("writer", writer, **more)
        read = flow.start("reader", reader, **more)
    code, _, said = ended(wrote)
    assert (code, said) == (0, "")
    code, out, said = ended(read)
    assert (code, said) == (0, "")
    return out


def _named(kind, number):
    return f"{kind}{number}"


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("mode", ["n", "u"])
def test_writer(streaming, text, writer, mode):
    number = list(WRITERS).index(writer)
    assert exchanged(streaming, text, f"w{number}.{mode}", WRITERS[writer], READERS["cat"], mode == "n") == _TEXT


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("mode", ["n", "u"])
def test_reader(streaming, text, reader, mode):
    if shutil.which(reader.split()[0]) is None and not reader.startswith(("bash", "python")):
        pytest.skip(f"no {reader}")
    number = list(READERS).index(reader)
    assert exchanged(streaming, text, f"r{number}.{mode}", WRITERS["bash redirection"], READERS[reader], mode == "n") == _TEXT


def test_gzip_and_zcat(streaming, text):
    (streaming.folder / "big").write_bytes(_BIG)
    out = exchanged(streaming, streaming.folder / "big", "z.n", "gzip -1 -c $TEXT > $F", "zcat < $F", True)
    assert hashlib.sha256(out).digest() == hashlib.sha256(_BIG).digest()


@pytest.mark.parametrize("block", ["512", "64k", "1M"])
def test_large_through_dd(streaming, block):
    (streaming.folder / "big").write_bytes(_BIG)
    name = f"big{block}.n"
    out = exchanged(streaming, streaming.folder / "big", name, f"dd if=$TEXT of=$F bs={block} status=none", "dd if=$F bs=1M status=none", True)
    assert hashlib.sha256(out).digest() == hashlib.sha256(_BIG).digest()


def test_tail_f_sees_lines_as_they_come(streaming, text):
    more = {"F": str(streaming.dir / "t.n"), "SLOW": _SLOW}
    read = streaming.start("reader", "tail -n +1 -f $F", **more)
    wrote = streaming.start("writer", "{ eval \"$SLOW\"; } > $F", **more)
    out = b"".join(read.stdout.readline() for _ in range(6))
    killed(read)
    assert out == _TEXT and ended(wrote)[0] == 0


def test_numpy(streaming, text):
    more = {"F": str(streaming.dir / "np.u")}
    read = streaming.start("reader", [_PY, "-c", "import numpy, os; print(numpy.load(os.environ['F']).sum())"], **more)
    write = "import numpy, os\nwith open(os.environ['F'], 'wb') as f: numpy.save(f, numpy.arange(100000))"
    assert ended(streaming.start("writer", [_PY, "-c", write], **more))[0] == 0
    assert ended(read)[1].strip() == b"4999950000"


_MORE = {
    "tar": ("tar cf $F -C $(dirname $TEXT) $(basename $TEXT)", "tar xOf $F"),
    "tar z": ("tar czf $F -C $(dirname $TEXT) $(basename $TEXT)", "tar xzOf $F"),
    "split and cat": ("split -n l/2 $TEXT part-; cat part-aa part-ab > $F", "cat $F"),
    "split": ("split -n l/2 --additional-suffix=.u $TEXT $F-", "cat $F-aa.u $F-ab.u"),
    "sort in place": ("sort -R $TEXT > $F.part; sort -o $F.part $F.part; mv $F.part $F", "cat $F"),
    "python mmap": (f"{_PY} -c 'import mmap, os\ntext = open(os.environ[\"TEXT\"], \"rb\").read()\nwith open(os.environ[\"F\"], \"w+b\") as f:\n f.truncate(len(text))\n"
                    " with mmap.mmap(f.fileno(), 0) as m: m[:] = text'", "cat $F"),
    "python shutil": (f"{_PY} -c 'import os, shutil\nshutil.copy(os.environ[\"TEXT\"], \"moved\"); shutil.move(\"moved\", os.environ[\"F\"])'",
                      f"{_PY} -c 'import os, shutil, sys\nshutil.copy2(os.environ[\"F\"], \"copied\"); sys.stdout.write(open(\"copied\").read())'"),
    "sqlite3": (f"{_PY} -c 'import os, sqlite3\nc = sqlite3.connect(\"x.db\"); c.execute(\"create table if not exists t(x)\"); c.execute(\"delete from t\")\n"
                "c.executemany(\"insert into t values (?)\", [(l,) for l in open(os.environ[\"TEXT\"])]); c.commit(); c.close()\nos.system(\"cp x.db $F\")'",
                f"{_PY} -c 'import os, sqlite3\nfor x, in sqlite3.connect(os.environ[\"F\"]).execute(\"select x from t order by rowid\"): print(x, end=\"\")'"),
    "sqlite3 inside": (f"{_PY} -c 'import os, sqlite3\nc = sqlite3.connect(os.environ[\"F\"]); c.execute(\"create table t(x)\")\n"
                       "c.executemany(\"insert into t values (?)\", [(l,) for l in open(os.environ[\"TEXT\"])]); c.commit(); c.close()'",
                       "sqlite3 $F 'select x from t order by rowid' | grep ."),
    "h5py": (f"{_PY} -c 'import h5py, os, numpy\nwith h5py.File(os.environ[\"F\"], \"w\") as f: f[\"x\"] = numpy.frombuffer(open(os.environ[\"TEXT\"], \"rb\").read(), \"u1\")'",
             f"{_PY} -c 'import h5py, os, sys\nsys.stdout.buffer.write(h5py.File(os.environ[\"F\"], \"r\")[\"x\"][()].tobytes())'"),
    "git bundle": ("rm -rf repo && git init -q repo && cp $TEXT repo/text && cd repo && git add text && git -c user.name=n -c user.email=e commit -qm m && git bundle create -q $F HEAD",
                   "rm -rf copy && git -c advice.detachedHead=false clone -q $F copy && cat copy/text"),
}


@pytest.mark.parametrize("name", _MORE)
def test_more_programs(streaming, text, name):
    program = name.split()[0]
    if program not in ("h5py", "python") and shutil.which(program) is None:
        pytest.skip(f"no {program}")
    writer, reader = _MORE[name]
    assert exchanged(streaming, text, f"m{list(_MORE).index(name)}.u", writer, reader, True) == _TEXT


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_git_inside(make_flow):
    """A repository that lies in CAPIO_DIR, and a clone of it that waits for all of it."""
    flow = make_flow({"name": "flow", "IO_Graph": [
        {"name": "writer", "output_stream": ["repo"], "streaming": [{"dirname": ["repo"], "committed": "on_termination", "mode": "update"}]},
        {"name": "reader", "input_stream": ["repo"], "output_stream": ["clone"]}]})
    me = "git -c user.name=n -c user.email=e"
    read = flow.start("reader", f"cd $CAPIO_DIR && git clone -q repo clone && cd clone && cat text && {me} commit -q --allow-empty -m three && git log --format=%s")
    flow.wait_waiting()
    wrote = flow.start("writer", f"cd $CAPIO_DIR && git init -q repo && cd repo && for n in one two; do echo $n >> text; git add text; {me} commit -q -m $n; done; git gc -q; git fsck")
    assert ended(wrote)[0] == 0
    assert ended(read) == (0, b"one\ntwo\nthree\ntwo\none\n", "")


def test_forks_and_threads_on_both_sides(streaming):
    """5 processes of 4 threads each write a file each, and as many read them, started first."""
    common = ("import os, sys, threading\ndef file(c, t, mode): return open(f'{os.environ[\"CAPIO_DIR\"]}/forks-{c}-{t}.n', mode)\n"
              "def work(c, t):\n{}\nchildren = []\nfor c in range(5):\n children.append(os.fork())\n if not children[-1]:\n"
              "  threads = [threading.Thread(target=work, args=(c, t)) for t in range(4)]\n  [x.start() for x in threads]; [x.join() for x in threads]\n"
              "  os._exit(len(done))\n")
    read = common.replace("{}", " with file(c, t, 'r') as f: text = f.read()\n if text == f'{c} {t}\\n' * 500: done.append(t)")
    write = common.replace("{}", " with file(c, t, 'w') as f:\n  for n in range(500): print(c, t, file=f, flush=n % 50 == 0)\n done.append(t)")
    ends = "print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])"
    reader = streaming.start("reader", [_PY, "-c", "done = []\n" + read + ends])
    streaming.wait_waiting(20)
    for program in (streaming.start("writer", [_PY, "-c", "done = []\n" + write + ends]), reader):
        assert ended(program) == (0, b"[4, 4, 4, 4, 4]\n", "")


MAP_AND_REDUCE = {"name": "mapping", "permanent": ["result"], "IO_Graph": [
    {"name": "split", "output_stream": ["in/*"], "streaming": [{"name": ["in/*"], "committed": "on_close", "mode": "no_update"}]},
    {"name": "map", "input_stream": ["in/*"], "output_stream": ["out/*"], "streaming": [{"name": ["out/*"], "committed": "on_close", "mode": "no_update"}]},
    {"name": "merge", "input_stream": ["out/*"], "output_stream": ["result"]}]}
# ten files in; each of two maps reads seven of them, four of which the other one reads too
MAP_PROGRAMS = [("merge", "cat $CAPIO_DIR/out/0 $CAPIO_DIR/out/1 > $CAPIO_DIR/result"),
                ("map", "mkdir -p $CAPIO_DIR/out; for n in 0 1 2 3 4 5 6; do sed -n '1,3p' $CAPIO_DIR/in/$n; done | tr a-z A-Z > $CAPIO_DIR/out/0"),
                ("map", "mkdir -p $CAPIO_DIR/out; for n in 3 4 5 6 7 8 9; do sed -n '1,3p' $CAPIO_DIR/in/$n; done | tr a-z A-Z > $CAPIO_DIR/out/1"),
                ("split", "mkdir -p $CAPIO_DIR/in; for n in 0 1 2 3 4 5 6 7 8 9; do for i in 1 2 3 4 5 6 7 8 9 10; do echo line $n $i; done > $CAPIO_DIR/in/$n; done")]
MAP_RESULT = "".join(f"LINE {n} {i}\n" for first in (0, 3) for n in range(first, first + 7) for i in range(1, 4))


def test_map_and_reduce_by_separate_programs(make_flow):
    """split -> two maps -> merge, all started at once."""
    flow = make_flow(MAP_AND_REDUCE)
    flow.hold("split", "map", "merge")
    for program in [flow.start(*program) for program in MAP_PROGRAMS]:
        code, _, said = ended(program)
        assert (code, said) == (0, "")
    flow.end()
    assert (flow.dir / "result").read_text() == MAP_RESULT


@pytest.mark.parametrize("rules", [["on_close"], ["no_update"], ["on_close", "no_update", "on_termination"]])
def test_six_files_of_one_program_are_read_by_another(make_flow, rules):
    names = [f"file{number}.dat" for number in range(6)]
    streams = {"on_close": "on_close update", "no_update": "on_close no_update", "on_termination": "on_termination update"}
    flow = make_flow(document(**{name: streams[rules[number % len(rules)]] for number, name in enumerate(names)}))
    read = flow.start("reader", f"cd $CAPIO_DIR && cat {' '.join(names)}")
    flow.wait_waiting()
    wrote = flow.start("writer", f"cd $CAPIO_DIR && for f in {' '.join(names)}; do for i in 1 2 3; do echo $f $i; done > $f; done")
    assert ended(wrote)[0] == 0
    assert ended(read) == (0, "".join(f"{name} {number}\n" for name in names for number in (1, 2, 3)).encode(), "")
