"""A store in a daemon, used by attached programs: the same calls, values and errors as those of a store that a program has opened itself."""

import inspect
import os
import random
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from cte.proof.wrong import trouble_of, wrong_calls
from harness.mpirun import job_environment, mpirun, needs_mpirun
from wrp.cte import Store
from wrp.cte.arrays import get_array, put_array
from wrp.cte.batch import Batch
from wrp.cte.served import AttachedStore, wire
from wrp.cte.served.batch import AttachedBatch
from wrp.cte.served.stashes import Stash, Stashes
from wrp.errors import Corrupt, NoSuchTag, StoreError, UsageError, WaitTimeout
from wrp.runtime import bdev
from wrp.runtime.config import load
from wrp.runtime.daemon import attach

MIB = 1 << 20
_EVERY = bytes(range(256)) * 40
_ROWS = np.arange(64 * 16, dtype=np.int32).reshape(64, 16)

# what a program does with a store, and whatever comes of it
SCRIPT = [
    lambda store: store.put("t", "a", b"\0\xff" * 10),
    lambda store: store.get("t", "a"),
    lambda store: store.put("t", "a", b"new", offset=30),
    lambda store: store.get("t", "a", 18, 15),
    lambda store: store.get("t", "a", 18, 150),
    lambda store: store.get("t", "a", -1),
    lambda store: store.get("t", "a", "1"),
    lambda store: store.get("t", "none"),
    lambda store: store.get("none", "a"),
    lambda store: store.put("t", "", b""),
    lambda store: store.put("t", None, b""),
    lambda store: store.put("t", "bad\ud800", b""),
    lambda store: store.put(7, "a", b""),
    lambda store: store.put("t", "a", "text"),
    lambda store: store.put("t", "a", b"", score=2),
    lambda store: store.put("t", "a", b"", if_generation=0),
    lambda store: store.put("t", "new", b"made once", if_generation=0),
    lambda store: store.put("t", "every byte ✓\n", _EVERY, score=0.25),
    lambda store: store.get("t", "every byte ✓\n") == _EVERY,
    lambda store: store.put("t", "array", _ROWS[::2]),
    lambda store: np.frombuffer(store.get("t", "array"), np.int32).tolist() == _ROWS[::2].reshape(-1).tolist(),
    lambda store: store.put("t", "empty", b""),
    lambda store: (store.get("t", "empty"), store.size("t", "empty"), bytes(store.view("t", "empty"))),
    lambda store: store.append("t", "grows", b"one"),
    lambda store: store.append("t", "grows", memoryview(b" two")),
    lambda store: store.truncate("t", "grows", 5),
    lambda store: store.truncate("t", "grows", -5),
    lambda store: bytes(store.view("t", "grows")),
    lambda store: store.put_segments("t", "parts", [(0, b"ab"), (10, b"cd")]),
    lambda store: store.put_segments("t", "parts", []),
    lambda store: store.get_segments("t", "parts", [(9, 3), (0, 1), (2, 0)]),
    lambda store: store.get_segments("t", "parts", [(9, 30)]),
    lambda store: store.put_many("m", [f"b{n}" for n in range(64)], _ROWS),
    lambda store: store.put_many("m", [f"c{n}" for n in range(3)], [b"", b"x", b"yy"]),
    lambda store: store.put_many("m", ["one"], [b"", b""]),
    lambda store: store.put_many("m", "one", b"xyz"),
    lambda store: store.get_many("m", 5),
    lambda store: store.put_segments("t", "parts", [5]),
    lambda store: store.get_many("m", ["c2", "c0", "b1"]),
    lambda store: store.get_many("m", ["c2", "none"]),
    lambda store: filled(store, [f"b{n}" for n in range(64)], np.zeros_like(_ROWS)).tolist() == _ROWS.tolist(),
    lambda store: filled(store, ["b1", "c1"], np.zeros((2, 16), np.int32)),
    lambda store: filled(store, ["b1"], np.zeros((2, 16), np.int32)),
    lambda store: buffer(store, "every byte ✓\n", bytearray(100), 200),
    lambda store: buffer(store, "every byte ✓\n", bytearray(100), 20, 300),
    lambda store: buffer(store, "every byte ✓\n", b"read only", 0),
    lambda store: reserved(store, "reserved", 1000),
    lambda store: store.reserve("t", "x", -1),
    lambda store: (store.list("t"), store.list("t", "e"), store.list("none")),
    lambda store: store.list("none"),
    lambda store: store.tags("[mt]"),
    lambda store: store.tags("("),
    lambda store: store.blobs("m", "c.*", 2),
    lambda store: (store.exists("t"), store.exists("t", "a"), store.exists("t", "none")),
    lambda store: (store.size("t", "a"), store.tag_size("m")),
    lambda store: [(about.size, about.checksum, about.score, about.tiers, about.codec) for about in store.infos("t").values()],
    lambda store: store.score("t", "a", 0.5),
    lambda store: store.score("t", "a"),
    lambda store: store.copy("t", "a", "u", "b"),
    lambda store: store.rename("u", "b", "c"),
    lambda store: store.rename("u", "c", "c"),
    lambda store: store.snapshot("t", "t then"),
    lambda store: store.snapshot("t", "t then"),
    lambda store: store.checkpoint("t later", "t"),
    lambda store: store.get("t later", "a"),
    lambda store: store.alias("t", "other/t"),
    lambda store: (store.aliases("t"), store.own_name("other/t"), store.children("other")),
    lambda store: store.rename_tag("m", "n"),
    lambda store: store.rename_folder("other", "another"),
    lambda store: store.create("made/by hand"),
    lambda store: store.delete("t", "a"),
    lambda store: store.delete("t", "a"),
    lambda store: store.destroy("made", recursive=True),
    lambda store: store.destroy("made"),
    lambda store: store.set_compression("z", {"codec": "zlib", "preset": "fast"}),
    lambda store: store.compression("z").codec,
    lambda store: store.put("z", "small", bytes(10_000)),
    lambda store: (store.info("z", "small").codec, store.get("z", "small", 9_990)),
    lambda store: store.put("z", "other", bytes(10_000), compression="none").codec,
    lambda store: store.put("z", "lossy", np.linspace(0, 1, 5000, dtype=np.float32), compression="zfp").codec,
    lambda store: store.put("z", "lossy", bytes(20_000), compression="zfp").codec,
    lambda store: batched(store, "n", "c1"),
    lambda store: batched(store, "n", ""),
    lambda store: committed_in_the_block(store),
    lambda store: abandoned_in_the_block(store),
    lambda store: store.list("goes on"),
    lambda store: (store.score("n", "c1"), store.score("n", "c0")),
    lambda store: put_array(store, "an array", [[1, 2], [3, 4]], score=0.5),
    lambda store: (get_array(store, "an array").tolist(), store.score("an array", "array")),
    lambda store: failing(store, "n", "c2"),
    lambda store: (store.list("n"), store.list("made in a batch")),
    lambda store: store.modelled_put("t", "a", 100).places,
    lambda store: store.extents("n", "c0"),
    lambda store: [(target.name, target.kind, target.persistence) for target in store.targets()],
    lambda store: store.add_target("more", "ram", 4096).capacity,
    lambda store: store.remove_target("none"),
    lambda store: store.move("n", "b1", "more"),
    lambda store: store.move("n", "b1", "nowhere"),
    lambda store: store.remove_target("more"),
    lambda store: store.evict("none", 5),
    lambda store: [(change.tag, change.blob) for change in store.changed(pattern="u")],
    lambda store: [entry.op for entry in store.telemetry().entries[:3]],
    lambda store: store.wait("t", "new").size,
    lambda store: store.wait("t", "none", timeout_s=0.05),
    lambda store: store.wait("t", "", timeout_s=0.05),
    lambda store: (store.flush(), store.flush_all(), store.replicate(), store.organize().looks),
    lambda store: store.recover("none", 0),
    lambda store: store.lasting(),
    lambda store: store.statistics().tags["u"].nbytes,
    lambda store: sorted(store.tags()),
]


def filled(store, blobs, out):
    store.get_many("m", blobs, out)
    return out


def buffer(store, blob, out, *place):
    return store.get("t", blob, *place, out=out), bytes(out)


def batched(store, tag, blob):
    with store.batch("some") as batch:
        batch.replace(tag)
        batch.create("made in a batch")
        batch.put(tag, blob, b"xyz", 0.25)
        with batch.writing(tag, "c0", 3 * MIB) as view:
            view[:] = bytes(3 * MIB)
    return batch.entries


def committed_in_the_block(store):
    with store.batch("some") as batch:
        batch.put("goes on", "a", b"1")
        first = batch.commit()
        batch.put("goes on", "b", b"2")
    return first, batch.entries, batch.commit()


def abandoned_in_the_block(store):
    with store.batch("some") as batch:
        batch.put("goes on", "c", b"1")
        batch.abandon()
        batch.put("goes on", "d", b"2")


def failing(store, tag, blob):
    with store.batch("some") as batch:
        batch.put(tag, blob, b"xyz")
        batch.remove("t")
        raise KeyError("of the program's own")


def reserved(store, blob, nbytes):
    with store.reserve("t", blob, nbytes) as reservation:
        reservation.view[:] = b"r" * nbytes
    return store.get("t", blob) == b"r" * nbytes


@pytest.fixture
def store(served):
    with Store.attach(served, 20) as store:
        yield store
        for tag in store.tags():
            store.destroy(tag)


def outcome(step, store):
    try:
        return step(store)
    except Exception as error:
        return type(error), re.sub(r"\d{15,}", "N", str(error))       # generations


@pytest.fixture(scope="module")
def small(started):
    return started(f"small{os.getpid()}", ram="32m").name


def test_calls_give_what_those_of_an_opened_store_give(small, tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text('storage: [{path: "ram::served", capacity_limit: 32m}]')
    with Store.attach(small, 20) as there, Store.open(config=load(conf)) as here:
        for number, step in enumerate(SCRIPT):
            assert outcome(step, there) == outcome(step, here), f"step {number}"


def test_every_call_of_a_store_can_be_made():
    missing = [name for name in vars_of(Store) if not callable(getattr(AttachedStore, name, None))]
    assert missing == ["attach", "open", "salvage"]


def vars_of(cls):
    return [name for name in dir(cls) if not name.startswith("_") and callable(getattr(cls, name))]


@pytest.mark.parametrize("nbytes", [(64 << 10) - 1, 64 << 10, 2 * MIB - 100, 2 * MIB, 2 * MIB + 1, 64 * MIB])
def test_blobs_of_every_length(store, nbytes):
    data = np.random.default_rng(nbytes).integers(0, 256, nbytes, np.uint8)
    store.put("t", "long", data)
    out = np.zeros_like(data)
    assert store.get("t", "long", out=out) == nbytes and np.array_equal(out, data)
    assert store.get("t", "long", 1) == data[1:].tobytes()
    store.append("t", "long", data[:100])
    assert store.size("t", "long") == nbytes + 100


def test_what_is_long_besides_a_blob(store):
    """Names, lists of bytes and segments that no piece of memory for calls takes at once."""
    blobs = [f"a name that makes the list of names long {number:09d}" for number in range(60_000)]
    store.put_many("t", blobs, np.arange(len(blobs), dtype=np.int64)[:, None])
    assert store.list("t") == blobs
    assert store.get_many("t", blobs[-2:]) == [np.int64(number).tobytes() for number in (59_998, 59_999)]
    store.put_many("m", ["a", "b"], [b"a" * 3 * MIB, b"b" * MIB])
    assert [len(data) for data in store.get_many("m", ["a", "b"])] == [3 * MIB, MIB]
    store.put_segments("m", "c", [(0, bytes(MIB)), (3 * MIB, bytes(2 * MIB))])
    assert [len(data) for data in store.get_segments("m", "c", [(0, 4 * MIB), (5, 5)])] == [4 * MIB, 5]


_PROGRAM = """
import sys
from wrp.cte import Store
name, mine, others = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Store.attach(name, 20) as store:
    for step in range(30):
        store.put("work", f"{mine}/{step}", f"{mine} {step}".encode() * 500)
        for other in range(others):
            about = store.wait("work", f"{other}/{step}", timeout_s=20)
            assert store.get("work", f"{other}/{step}") == f"{other} {step}".encode() * 500, (other, step)
        store.append("log", "all", b"%d" % mine)

"""


def run_program(text, *arguments):
    return subprocess.Popen([sys.executable, "-c", text, *map(str, arguments)], env=job_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_programs_at_once_and_one_after_the_other(store, served):
    programs = [run_program(_PROGRAM, served, number, 3) for number in range(3)]
    said = [program.communicate(timeout=50)[0] for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0], said
    assert sorted(store.get("log", "all")) == sorted(b"012" * 30)
    assert len(store.list("work")) == 90


def test_what_is_not_kept_any_more_is_said_in_a_sentence():
    kept = Stashes()
    number = kept.keep(Stash(None, memoryview(b"bytes")))
    assert kept.take(number).view == b"bytes"
    for look in (kept.of, kept.take):
        with pytest.raises(StoreError, match="isn't in the daemon any more: begin again"):
            look(number)
    kept.drop(number), kept.clear()


def test_threads_of_a_program(store):
    def work(number):
        for step in range(40):
            store.put("t", f"{number}.{step}", bytes([number]) * (step * 1000))
            assert store.get("t", f"{number}.{step}") == bytes([number]) * (step * 1000)
            done[number] = step
    done = {}
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert done == dict.fromkeys(range(6), 39)


@pytest.mark.parametrize("nbytes", [5000, 300_000, 5_000_000])
def test_changed_ram_is_never_returned(served, nbytes):
    """Short ones, which the worker itself answers, those of one piece of memory and longer ones."""
    data = random.Random(nbytes).randbytes(nbytes)
    with attach(served, 20) as runtime, Store.attach(runtime) as store:
        store.put("changed", "b", data)
        words = runtime.segment.buffer
        places = [found.start() for found in re.finditer(re.escape(data[64:128]), words)]      # what the call had, too
        for at in places:
            words[at] ^= 1
        assert places
        del words
        for call in (lambda: store.get("changed", "b"), lambda: store.get("changed", "b", out=bytearray(nbytes))):
            with pytest.raises(Corrupt, match="'b' of tag 'changed'"):
                call()
        store.put("changed", "b", data)
        assert store.get("changed", "b") == data
        store.destroy("changed")


def test_who_waits_for_blobs_holds_nobody_up(store):
    """More waits at once than the daemon has threads for calls."""
    threads = [threading.Thread(target=lambda number=number: found.append(store.wait("late", str(number), 20).size)) for number in range(40)]
    found = []
    for thread in threads:
        thread.start()
    began = time.monotonic()
    store.put("t", "meanwhile", b"x")
    assert store.get("t", "meanwhile") == b"x" and not found and time.monotonic() - began < 10
    store.put_many("late", [str(number) for number in range(40)], [b"there"] * 40)
    for thread in threads:
        thread.join(20)
    assert found == [5] * 40


def test_what_an_attached_program_cannot_do(store):
    with pytest.raises(UsageError, match="put: an argument can't go to a daemon's store: .*object"):
        store.put("t", "a", b"", score=object())
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        store.list()
    with pytest.raises(UsageError, match="can't be removed: all ranks have made it together"):
        store._node.remove("cte_main")
    assert store.ranks.nodes == 1 and store.folder is None and store.config.get("runtime.timeout_s") == 20
    with Store.attach(store._node.name, 20) as other:
        other.close()
        with pytest.raises(UsageError, match="was closed here: attach again"):
            other.tags()


_ALONE = """
import sys
import numpy as np
from wrp.comm.ranks.launcher import launcher
from wrp.cte import Store
from wrp.cte.arrays import get_array, put_array
from wrp.errors import UsageError
rank = launcher().rank
with Store.attach(sys.argv[1], 20) as store:
    put_array(store, f"whole of {rank}", np.arange(6))                  # what is a process's own works
    assert get_array(store, f"whole of {rank}").tolist() == list(range(6))
    try:
        put_array(store, "lost", np.arange(6), (6 * (rank + 1),))
    except UsageError as error:
        print(error, flush=True)
"""


@needs_mpirun
def test_an_array_of_ranks_that_attached_each_by_itself(served, store):
    """Its refusal says how the job's own store is opened; that of a plain process doesn't."""
    job = mpirun(2, [sys.executable, "-c", _ALONE, served])
    told = f"; this store was attached by this process alone; Store.open('runtime:{served}') opens it for the ranks of a job"
    assert job.returncode == 0 and set(job.stdout.splitlines()) == {
        f"array 'lost': no rank has a block with 6 of the 12 elements of the array of shape (12,){told}",
        f"array 'lost': no rank has a block with 12 of the 18 elements of the array of shape (18,){told}"}, job.stderr
    with pytest.raises(UsageError, match=r"with 6 of the 12 elements of the array of shape \(12,\)$"):
        put_array(store, "lost", np.arange(6), (6,))


def test_a_runtime_that_is_attached_has_the_store(served):
    with attach(served, 20) as runtime:
        with Store.attach(runtime) as store:
            store.put("t", "a", b"x")
        with Store.attach(runtime) as store:
            assert store.get("t", "a") == b"x"
            store.destroy("t")
        assert runtime.pool("cte_main").id == (512, 0)
        with pytest.raises(UsageError, match="attach again"):
            store.tags()


def test_a_daemon_without_a_store_says_so(start_plain):
    with pytest.raises(StoreError, match="serves no store: start it with an entry of the module wrp_cte_core under `compose`"):
        Store.attach(start_plain, 20)


@pytest.fixture
def start_plain(tmp_path):
    from harness.daemons import Running

    conf = tmp_path / "conf.yaml"
    conf.write_text("runtime: {segment_capacity: 64m}")
    running = Running(f"plain{os.getpid()}", conf, 0)
    yield running.name
    running.end()


def test_wrong_arguments_are_refused_as_in_a_store_of_its_own(store):
    found = []
    store.put("t", "b", b"abc")
    for each in wrong_calls(store, {"attach", "batch", "close", "open"}):
        found.append(trouble_of(*each))
        if not store.exists("t", "b"):
            store.put("t", "b", b"abc")
    batch = store.batch("wrong")
    found += [trouble_of(*each) for each in wrong_calls(batch, {"commit", "expect", "take"})]
    batch.abandon()
    assert list(filter(None, found)) == []


def test_errors_keep_no_memory(served):
    with attach(served, 20) as runtime, Store.attach(runtime) as store:
        calls = runtime.pool("wrp_cte_calls")
        free = calls.call(bdev.GET_STATS).values[1]
        for number in range(300):
            with pytest.raises(NoSuchTag):
                store.get("none", "none")
            with pytest.raises(WaitTimeout):
                store.wait("none", "none", 0)
        assert free - calls.call(bdev.GET_STATS).values[1] <= 4 * MIB


def test_an_error_says_nothing_of_the_daemons_ranks():
    error = UsageError("of all ranks of the daemon")
    error.common = error.named = True
    here = wire.error_in(wire.error_of(error))
    assert type(here) is UsageError and str(here) == str(error) and not vars(here).keys() & {"common", "named"}


def test_a_batch_has_the_calls_of_one_of_ranks():
    for name in vars_of(Batch):
        assert str(inspect.signature(getattr(AttachedBatch, name))) == str(inspect.signature(getattr(Batch, name))), name


@needs_mpirun
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("limit", ["0", "0.1"])
def test_a_command_that_waits_for_a_daemon_says_so_once(size, limit):
    done = mpirun(size, [sys.executable, "-m", "wrp.cee.cli", "ls", "--store", "runtime:nobody"], env={"CHI_WAIT_SERVER": limit})
    assert done.returncode == 7, done.stderr
    lines = [line for line in done.stderr.splitlines() if "nobody" in line]
    assert len(lines) == (1 if limit == "0" else 2) and lines[-1].startswith("wrp: no daemon 'nobody' runs"), done.stderr
    assert limit == "0" or lines[0].startswith("wrp: waiting up to 0.1 s for the daemon 'nobody'; so far: no daemon 'nobody' runs")
