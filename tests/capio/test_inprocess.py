"""Programs in Python that wait by themselves: no compiler, no library preloaded."""

import os
import subprocess
import sys
import time

import pytest

from capio.served import LIMIT_S, document, ended, killed

_PY = sys.executable
_TEXT = "".join(f"line {number}\n" for number in range(6))
_WRITE = ("import os, time\nwith open(os.environ['F'], 'w') as f:\n for n in range(6):\n  print('line', n, file=f, flush=True); time.sleep(0.02)")
READERS = {
    "read": "print(open(F).read(), end='')",
    "lines": "for line in open(F): print(line, end='')",
    "binary": "sys.stdout.buffer.write(open(F, 'rb').read())",
    "unbuffered": "sys.stdout.buffer.write(open(F, 'rb', buffering=0).read())",
    "small": "f = open(F, 'rb')\nwhile part := f.read(5): sys.stdout.buffer.write(part)",
    "os.read": "fd = os.open(F, os.O_RDONLY)\nwhile part := os.read(fd, 7): sys.stdout.buffer.write(part)\nos.close(fd)",
    "fdopen": "print(os.fdopen(os.open(F, os.O_RDONLY)).read(), end='')",
    "pathlib": "print(pathlib.Path(F).read_text(), end='')",
    "seek": "f = open(F, 'rb'); n = f.seek(0, 2); f.seek(0); sys.stdout.buffer.write(f.read(n))",
    "mmap": "f = open(F, 'rb'); sys.stdout.buffer.write(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))",
    "copyfile": "shutil.copyfile(F, F + '.copy'); print(open(F + '.copy').read(), end=''); os.unlink(F + '.copy')",
    "numpy": "sys.stdout.buffer.write(__import__('numpy').fromfile(F, 'u1').tobytes())",
    "stat": "os.stat(F); os.path.exists(F); print(open(F).read(), end='')",
    "a child": "multiprocessing.get_context('fork').Process(target=lambda: print(open(F).read(), end='', flush=True)).start()",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("mode", ["n", "u"])
def test_reader(streaming, reader, mode):
    more = {"via": "python", "F": str(streaming.dir / f"py{list(READERS).index(reader)}.{mode}")}
    read = streaming.start("reader", [_PY, "-c", f"import mmap, multiprocessing, os, pathlib, shutil, sys\nF = os.environ['F']\n{READERS[reader]}"], **more)
    streaming.wait_waiting()
    code, _, said = ended(streaming.start("writer", [_PY, "-c", _WRITE], **more))
    assert (code, said) == (0, "")
    code, out, said = ended(read)
    assert (code, said, out.decode()) == (0, "", _TEXT)


def test_a_shim_reads_what_python_writes(streaming):
    more = {"F": str(streaming.dir / "mixed.n")}
    read = streaming.start("reader", "cat $F", via="python", **more)        # a program that isn't in Python isn't seen
    assert ended(read)[0] == 1
    code, out, said = streaming.run("writer", [_PY, "-c", _WRITE], via="python", **more)
    assert (code, said) == (0, "") and streaming.run("reader", [_PY, "-c", "import os; print(open(os.environ['F']).read(), end='')"], via="python", **more)[1] == _TEXT.encode()


def test_a_directory(make_flow):
    flow = make_flow({"name": "flow", "IO_Graph": [
        {"name": "writer", "output_stream": ["d"], "streaming": [{"dirname": ["d"], "committed": "on_n_files", "n_files": 4, "mode": "no_update"}]},
        {"name": "reader", "input_stream": ["d"]}]})
    flow.hold("writer")
    read = flow.start("reader", [_PY, "-c", "import os\nfor e in os.scandir(os.environ['CAPIO_DIR'] + '/d'): print(e.name, flush=True)"], via="python")
    names = flow.start("reader", [_PY, "-c", "import os\nprint(*sorted(os.listdir(os.environ['CAPIO_DIR'] + '/d')))"], via="python")
    write = "import os\nd = os.environ['CAPIO_DIR'] + '/d'\nos.mkdir(d)\nfor n in range(4):\n open(f'{d}/f{n}', 'w').close(); input()"
    flow.run("writer", [_PY, "-c", write.replace("; input()", "")], via="python")
    assert sorted(ended(read)[1].split()) == [b"f0", b"f1", b"f2", b"f3"]
    assert ended(names)[1] == b"f0 f1 f2 f3\n"


def test_a_killed_producer_is_an_error(make_flow):
    flow = make_flow(document(**{"a": "on_close no_update"}))
    wrote = flow.start("writer", [_PY, "-c", "import os, time\nf = open(os.environ['CAPIO_DIR'] + '/a', 'w')\nprint(1, file=f, flush=True)\ntime.sleep(60)"], via="python")
    read = flow.start("reader", [_PY, "-c", "import os\nprint(open(os.environ['CAPIO_DIR'] + '/a').read())"], via="python")
    flow.wait_waiting()
    flow.wait_for(lambda _: (flow.dir / "a").exists())      # the reader may be there first: a writer that isn't known yet leaves nothing behind
    killed(wrote)
    code, _, said = ended(read)
    assert code == 1 and "SIGKILL" in said and "Input/output error" in said


def test_it_is_installed_in_a_program_by_hand(streaming):
    name = str(streaming.dir / "hand.u")
    code = f"from wrp.capio.inprocess import install\ninstall(); install()\nopen({name!r}, 'w').write('x')\nprint(open({name!r}).read())"
    done = subprocess.run([_PY, "-c", code], env=streaming.environment("writer", via=None), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("x\n", "")
    env = streaming.environment("writer", via=None)
    del env["CAPIO_DIR"]
    done = subprocess.run([_PY, "-c", "from wrp.capio.inprocess import install\ninstall()"], env=env, capture_output=True, text=True)
    assert "CAPIO_DIR isn't set" in done.stderr and not os.path.exists(name + ".no")


def test_a_wait_for_all_of_a_file_is_counted(make_flow):
    flow = make_flow(document(**{"f": "on_close no_update"}))
    flow.hold("writer", "reader")
    wrote = flow.start("writer", [_PY, "-c", "import os\nf = open(os.environ['CAPIO_DIR'] + '/f', 'w', 1)\nf.write('some\\n'); print('some', flush=True); input()"], via="python", stdin=True)
    assert wrote.stdout.readline() == b"some\n"
    read = flow.start("reader", [_PY, "-c", "import os\nwith open(os.environ['CAPIO_DIR'] + '/f', 'rb') as f: f.seek(0, 2)"], via="python")
    flow.wait_waiting()
    time.sleep(0.3)
    wrote.stdin.write(b"\n")
    assert ended(wrote)[0] == ended(read)[0] == 0
    waited = next(file["waited_s"] for file in flow.client.control("report")["reads"] if file["step"] == "reader")
    assert 0.3 < waited < LIMIT_S
