"""Who waits, who doesn't, for how long: readers before and after writers, update and no_update, counted closes, directories, renames."""

import os
import sys

import pytest

from capio.served import document, ended, killed, needs_compiler

pytestmark = needs_compiler
_PY = sys.executable


def test_update_is_read_when_it_is_complete_only(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    flow.hold("writer")
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    wrote = flow.start("writer", "{ echo one; sleep 0.3; echo two; } > $CAPIO_DIR/a")
    flow.wait_waiting()
    assert read.poll() is None
    assert ended(wrote)[0] == 0
    assert ended(read)[1] == b"one\ntwo\n"


def test_no_update_is_read_while_it_is_written(make_flow):
    flow = make_flow(document(**{"a": "on_close no_update"}))
    flow.hold("writer")
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    wrote = flow.start("writer", "{ echo one; read; echo two; } > $CAPIO_DIR/a", stdin=True)
    assert read.stdout.readline() == b"one\n" and wrote.poll() is None
    killed(wrote)


def test_dup2_and_close_commit_nothing(make_flow):
    """dd opens, dup2s and closes the first descriptor before it writes a byte."""
    flow = make_flow(document(**{"a": "on_close update"}))
    flow.hold("writer")
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    assert flow.run("writer", "printf 12345 | dd of=$CAPIO_DIR/a status=none")[0] == 0
    assert ended(read)[1] == b"12345"


def test_counted_closes(make_flow):
    flow = make_flow(document(**{"a": "on_close:3 update"}))
    flow.hold("writer")
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    flow.wait_waiting()
    for number in range(3):
        assert flow.status()["waiting"]
        assert flow.run("writer", f"echo {number} >> $CAPIO_DIR/a")[0] == 0
    assert ended(read)[1] == b"0\n1\n2\n"


def test_counted_closes_of_writers_at_the_same_time(make_flow):
    """Closes so close together that the kernel tells of them once."""
    flow = make_flow(document(**{"a": "on_close:8 update"}))
    flow.hold("writer")
    read = flow.start("reader", "wc -l < $CAPIO_DIR/a")
    code = ("import os\nfiles = [os.open(os.environ['CAPIO_DIR'] + '/a', os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in range(8)]\n"
            "[os.write(file, b'x\\n') for file in files]\n[os.close(file) for file in files]")
    assert flow.run("writer", [_PY, "-c", code])[0] == 0
    assert ended(read)[1].strip() == b"8"


def test_on_termination_waits_for_all_processes_of_the_step(make_flow):
    flow = make_flow(document(**{"a": "on_termination update"}))
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    flow.wait_waiting()
    wrote = flow.start("writer", "echo one > $CAPIO_DIR/a; (sleep 0.5; echo two >> $CAPIO_DIR/a) > /dev/null 2>&1 & exit 0")
    assert ended(wrote)[0] == 0
    assert ended(read)[1] == b"one\ntwo\n"


def test_on_file_commits_with_another(make_flow):
    flow = make_flow({"name": "flow", "IO_Graph": [
        {"name": "writer", "input_stream": [], "output_stream": ["a", "done"], "streaming": [
            {"name": ["a"], "committed": "on_file", "file_deps": ["done"], "mode": "update"}, {"name": ["done"], "committed": "on_close", "mode": "update"}]},
        {"name": "reader", "input_stream": ["a"], "output_stream": []}]})
    flow.hold("writer")
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    assert flow.run("writer", "echo one > $CAPIO_DIR/a")[0] == 0
    flow.wait_waiting()
    assert flow.run("writer", "echo two >> $CAPIO_DIR/a; : > $CAPIO_DIR/done")[0] == 0
    assert ended(read)[1] == b"one\ntwo\n"


def test_a_rename_to_the_final_name_completes_it(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    flow.hold("writer")
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    code = "import os\nd = os.environ['CAPIO_DIR']\nopen(d + '/a.tmp', 'w').write('whole')\nos.replace(d + '/a.tmp', d + '/a')"
    assert flow.run("writer", [_PY, "-c", code])[0] == 0
    assert ended(read)[1] == b"whole"


def test_a_file_of_an_earlier_run_isnt_taken_for_this_ones(make_flow, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("old")
    flow = make_flow(document(permanent=["a"], **{"a": "on_close no_update"}))
    flow.hold("writer")
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    flow.wait_waiting()
    assert flow.run("writer", "echo new > $CAPIO_DIR/a")[0] == 0
    assert ended(read)[1] == b"new\n"


def test_a_file_of_an_earlier_run_is_read_when_all_who_may_make_it_have_ended_well(make_flow, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("old")
    flow = make_flow(document(permanent=["a"], **{"a": "on_termination update"}))
    flow.hold("writer")
    read = flow.start("reader", "cat $CAPIO_DIR/a")
    flow.wait_waiting()
    flow.release("writer")
    assert ended(read) == (0, b"old", "")


def test_a_directory_of_an_earlier_run_is_as_good_as_a_new_one(make_flow, tmp_path):
    (tmp_path / "data" / "d").mkdir(parents=True)
    flow = make_flow(_directories("on_n_files", "no_update"))
    flow.hold("writer")
    read = flow.start("reader", "cd $CAPIO_DIR/d && echo here; ls | wc -l")
    assert read.stdout.readline() == b"here\n"
    flow.run("writer", "for i in 1 2 3 4 5 6; do echo $i > $CAPIO_DIR/d/f$i; done")
    assert ended(read)[1].strip() == b"6"


@pytest.mark.parametrize("question", ["test -f $CAPIO_DIR/a", "stat $CAPIO_DIR/a", "ls -l $CAPIO_DIR/a",
                                      f"{_PY} -c 'import os; os.stat(os.environ[\"CAPIO_DIR\"] + \"/a\")'"])
def test_a_consumer_asks_whether_a_file_is_there(make_flow, question):
    flow = make_flow(document(**{"a": "on_close update"}))
    flow.hold("writer")
    asked = flow.start("reader", question)
    flow.wait_waiting()
    flow.run("writer", "echo x > $CAPIO_DIR/a")
    assert ended(asked)[0] == 0


def test_nobody_else_ever_waits(make_flow):
    flow = make_flow(document(**{"a": "on_close update"}))
    flow.hold("writer")
    for step in ("writer", "third", None):
        code, out, said = flow.run(step, "cat $CAPIO_DIR/a; test -e $CAPIO_DIR/a; cat $CAPIO_DIR/other; ls $CAPIO_DIR; echo z > $CAPIO_DIR/z; cat $CAPIO_DIR/z")
        assert out == b"z\n" and said.count("No such file") == 2
        os.unlink(flow.dir / "z")
    assert flow.run("reader", "cat $CAPIO_DIR/undeclared")[0] == 1


def _directories(commit, mode):
    return {"name": "flow", "IO_Graph": [
        {"name": "writer", "input_stream": [], "output_stream": ["d", "d/*"], "streaming": [
            {"dirname": ["d"], "committed": commit, "mode": mode, **({"n_files": 6} if commit == "on_n_files" else {})},
            {"name": ["d/*"], "committed": "on_close", "mode": "update"}]},
        {"name": "reader", "input_stream": ["d", "d/*"], "output_stream": []}]}


@pytest.mark.parametrize("mode", ["update", "no_update"])
def test_a_directory_of_n_files(make_flow, mode):
    flow = make_flow(_directories("on_n_files", mode))
    flow.hold("writer")
    read = flow.start("reader", "cd $CAPIO_DIR && for f in $(ls d); do cat d/$f; done")
    flow.wait_waiting()
    wrote = flow.start("writer", "mkdir $CAPIO_DIR/d; for i in 1 2 3 4 5 6; do echo $i > $CAPIO_DIR/d/f$i; sleep 0.03; done")
    assert ended(wrote)[0] == 0
    assert ended(read)[1].split() == [b"1", b"2", b"3", b"4", b"5", b"6"]


def test_entries_are_listed_as_they_come(make_flow):
    flow = make_flow(_directories("on_n_files", "no_update"))
    flow.hold("writer")
    code = "import os\nfor entry in os.scandir(os.environ['CAPIO_DIR'] + '/d'): print(entry.name, flush=True)"
    read = flow.start("reader", [_PY, "-c", code])
    flow.run("writer", "mkdir $CAPIO_DIR/d")
    for number in range(6):
        flow.run("writer", f"echo > $CAPIO_DIR/d/f{number}")
        assert read.stdout.readline().strip() == b"f%d" % number
    code, _, said = ended(read)
    assert (code, said) == (0, "")


def test_several_readers_and_a_late_one(make_flow):
    flow = make_flow(document(**{"a": "on_close no_update"}))
    flow.hold("writer")
    reads = [flow.start("reader", "cat $CAPIO_DIR/a") for _ in range(4)]
    assert flow.run("writer", "seq 1 20000 > $CAPIO_DIR/a")[0] == 0
    outs = [ended(read)[1] for read in [*reads, flow.start("reader", "cat $CAPIO_DIR/a")]]
    assert set(outs) == {b"".join(b"%d\n" % number for number in range(1, 20001))}


def test_threads_of_one_process_wait_apart(make_flow):
    flow = make_flow(document(**{"a": "on_close update", "b": "on_close update"}))
    flow.hold("writer")
    code = ("import os, threading\nd = os.environ['CAPIO_DIR']\n"
            "first = threading.Thread(target=lambda: print('a', open(d + '/a').read(), flush=True)); first.start()\n"
            "print('b', open(d + '/b').read(), flush=True); first.join()")
    read = flow.start("reader", [_PY, "-c", code])
    flow.wait_waiting(2)
    flow.run("writer", "printf 2 > $CAPIO_DIR/b")
    assert read.stdout.readline() == b"b 2\n"
    flow.run("writer", "printf 1 > $CAPIO_DIR/a")
    assert ended(read)[1] == b"a 1\n"


def test_an_interrupted_wait_ends(make_flow):
    """Ctrl-C on a reader in Python that waits."""
    flow = make_flow(document(**{"a": "on_close update"}))
    flow.hold("writer")
    read = flow.start("reader", [_PY, "-c", "import os; open(os.environ['CAPIO_DIR'] + '/a')"])
    flow.wait_waiting()
    read.send_signal(2)
    assert "KeyboardInterrupt" in ended(read)[2]
    flow.wait_for(lambda status: not status["waiting"])
