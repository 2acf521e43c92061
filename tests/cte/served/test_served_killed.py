"""kill -9 of attached programs and of the daemon that serves the store: what a call has promised is there, nothing leaks, nobody hangs."""

import contextlib
import os
import signal
import threading
import time

import pytest

from harness.daemons import Running
from harness.mpirun import needs_mpirun
from harness.standing import stop
from wrp.cte import Store
from wrp.cte.telemetry import Op
from wrp.errors import RuntimeGone, StoreBusy, StoreError, UsageError, WaitTimeout
from wrp.runtime import bdev
from wrp.runtime.commands import chimaera
from wrp.runtime.daemon import attach
from wrp.runtime.daemon.view import View

MIB = 1 << 20


def wait_for(test, what, limit_s=15):
    until = time.monotonic() + limit_s
    while not test():
        assert time.monotonic() < until, what() if callable(what) else what
        time.sleep(0.02)


def killed_in_the_middle(name, work, delay_s):
    """A child that attaches and works until it is killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with Store.attach(name, 20) as store:
                os.write(writing, b"r")
                while True:
                    work(store)
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 1) == b"r"
    os.close(reading)
    time.sleep(delay_s)
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


_WORKS = [lambda store: store.put("t", "long", bytes(24 * MIB)),
          lambda store: store.get("t", "kept"),
          lambda store: store.put_many("t", [str(n) for n in range(500)], [bytes(20_000)] * 500),
          lambda store: store.wait("t", "never", 1000),
          lambda store: begun(store.batch("never committed")),
          lambda store: store.put("t", "short", b"x")]


def begun(batch):
    batch.put("t", "never", bytes(5 * MIB))
    time.sleep(1000)


def test_a_killed_program_leaves_nothing(served):
    with attach(served, 20) as runtime, Store.attach(runtime) as store:
        store.put("t", "kept", bytes(30 * MIB))
        calls = runtime.pool("wrp_cte_calls")
        before = calls.call(bdev.GET_STATS).values[1]

        def remaining():
            for blob in store.list("t"):
                if blob != "kept":
                    store.delete("t", blob)
            return store.targets()[0].remaining
        at_first = remaining()
        for round in range(2):
            for number, work in enumerate(_WORKS):
                killed_in_the_middle(served, work, 0.03 + 0.05 * round * number)
        wait_for(lambda: calls.call(bdev.GET_STATS).values[1] == before, "memory for calls isn't given back")
        wait_for(lambda: remaining() == at_first, lambda: f"{at_first - remaining()} bytes of the store are lost")
        assert store.get("t", "kept") == bytes(30 * MIB)
        store.destroy("t")


def test_a_program_that_goes_on_after_it_has_left_has_no_batch_in_the_daemon(served):
    with Store.attach(served, 20) as looks:
        free = looks.targets()[0].remaining
        with Store.attach(served, 20) as store:
            batch = store.batch("never committed")
            batch.put("t", "never", bytes(5 * MIB))
            assert looks.targets()[0].remaining < free
        wait_for(lambda: looks.targets()[0].remaining == free, "its space isn't given back")
        with pytest.raises(UsageError, match="isn.t attached"):
            batch.put("t", "never", b"x")


def test_many_programs_with_long_blobs_leave_memory_for_each_other(started):
    """As many as would have all of it, if each kept what it had."""
    running = started(f"keep{os.getpid()}", ram="64m")
    with contextlib.ExitStack() as leaving:
        stores = [leaving.enter_context(Store.attach(running.name, 20)) for _ in range(60)]
        for number, store in enumerate(stores):
            store.put("t", "x", bytes([number]) * (5 * MIB))
            assert store.get("t", "x") == bytes([number]) * (5 * MIB)
        calls = stores[0]._node.pool("wrp_cte_calls")
        assert calls.call(bdev.GET_STATS).values[1] > 64 * MIB
        found = []
        everybody = [threading.Thread(target=lambda store=store: found.append(store.get("t", "x"))) for store in stores]
        while calls.call(bdev.GET_STATS).values[1] > 10 * MIB:      # a few at a time have a long answer then
            assert calls.call(bdev.ALLOCATE_BLOCKS, 2 * MIB, 2 * MIB, 0).code == 0
        for thread in everybody:
            thread.start()
        for thread in everybody:
            thread.join(60)
        assert found == [bytes([59]) * (5 * MIB)] * 60
    assert running.end() == 0


def test_memory_of_calls_that_timed_out_comes_back_with_their_late_answers(started):
    running = started(f"late{os.getpid()}")
    with attach(running.name, 20) as runtime:
        calls = runtime.pool("wrp_cte_calls")
        before = calls.call(bdev.GET_STATS).values[1]
        with Store.attach(runtime) as store:
            store.put("t", "kept", bytes(5 * MIB))
            free, patience = store.targets()[0].remaining, runtime.timeout_s
            batch = store.batch("never committed")
            late = [lambda: store.put("t", "kept", bytes(5 * MIB)), lambda: store.get("t", "kept"), lambda: store.put("t", "mid", bytes(MIB)), lambda: store.size("t", "kept"),
                    lambda: store.append("t", "kept", bytes(3 * MIB)), lambda: store.get_many("t", ["kept"]), lambda: batch.put("t", "never", bytes(MIB)), store.flush]
            stop(running.pid)
            runtime.timeout_s = 0.1
            for number in range(20):
                with pytest.raises(WaitTimeout) as error:
                    late[number % len(late)]()
                assert number != 2 or "Whether put has happened isn't known" in str(error.value)
            runtime.timeout_s = patience
            os.kill(running.pid, signal.SIGCONT)

            def all_is_back():
                store.delete("t", "mid") if store.exists("t", "mid") else None
                return not len(store._link._slips._lost) and store.targets()[0].remaining == free
            wait_for(all_is_back, lambda: f"{len(store._link._slips._lost)} calls' memory isn't given back, {free - store.targets()[0].remaining} bytes of the store are lost")
            assert store.size("t", "kept") == 5 * MIB
        assert calls.call(bdev.GET_STATS).values[1] == before
    assert running.end() == 0


def test_memory_of_a_program_that_makes_no_further_call_comes_back_too(started):
    running = started(f"idle{os.getpid()}")
    with attach(running.name, 20) as runtime, Store.attach(runtime) as store:
        store.put("t", "kept", bytes(5 * MIB))
        lost, patience = store._link._slips._lost, runtime.timeout_s
        os.kill(running.pid, signal.SIGSTOP)
        runtime.timeout_s = 0.1
        for call in (lambda: store.get("t", "kept"), lambda: store.put("t", "kept", bytes(5 * MIB)), lambda: store.size("t", "kept")):
            with pytest.raises(WaitTimeout):
                call()
        runtime.timeout_s = patience
        assert len(lost) >= 3
        os.kill(running.pid, signal.SIGCONT)
        wait_for(lambda: not len(lost), lambda: f"{len(lost)} calls' memory isn't given back", 30)
        assert store.size("t", "kept") == 5 * MIB
    assert running.end() == 0


def kill(running):
    os.kill(running.pid, signal.SIGKILL)
    running.wait()


def test_what_was_flushed_is_there_after_kill_9_and_what_was_put_after_an_orderly_end(started, tmp_path):
    folder, name = tmp_path / "store", f"again{os.getpid()}"
    running = started(name, folder=folder)
    with Store.attach(name, 20) as store:
        assert store.folder == str(folder)
        store.put("t", "flushed", b"\0" * 5 * MIB)
        store.put("t", "small", b"flushed too")
        store.flush()
        store.put("t", "late", b"not flushed")
        kill(running)
        with pytest.raises(RuntimeGone, match=f"the daemon '{name}' .* has ended without being stopped"):
            store.get("t", "small")
    running = started(name, folder=folder)
    with Store.attach(name, 20) as store:
        assert store.get("t", "flushed") == b"\0" * 5 * MIB and store.get("t", "small") == b"flushed too"
        store.put("t", "at the end", b"kept by the orderly end")
        with pytest.raises(StoreBusy, match=f"in use by the daemon '{name}' .process {running.pid}., which serves it: use it there, as runtime:{name} in place of the folder"):
            Store.open(folder)
        with Store.open(f"runtime:{name}") as other:
            assert other.list("t") == store.list("t")
    assert running.end() == 0
    with Store.open(folder) as store:               # by a job, once the daemon has ended
        assert store.get("t", "at the end") == b"kept by the orderly end"
        store.put("t", "by a job", b"x")
    running = started(name, folder=folder)
    with Store.attach(name, 20) as store:
        assert store.get("t", "by a job") == b"x"
    assert running.end() == 0


def test_a_call_under_way_when_the_daemon_dies(started):
    name = f"dies{os.getpid()}"
    running = started(name)
    told = []

    def ask(store, call):
        try:
            call(store)
        except WaitTimeout as error:
            told.append(error)

    with Store.attach(name, 20) as store:
        threads = [threading.Thread(target=ask, args=(store, call)) for call in (lambda store: store.wait("t", "never", 300),
                                                                                lambda store: [store.put("t", "long", bytes(64 * MIB)) for _ in range(10_000)])]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert not told
        kill(running)
        for thread in threads:
            thread.join(15)
    assert [type(error) for error in told] == [RuntimeGone] * 2 and all("has ended without being stopped" in str(error) for error in told)
    assert started(name).end() == 0         # takes away what was left


def test_calls_go_on_with_the_next_daemon(started, tmp_path):
    folder, name = tmp_path / "store", f"next{os.getpid()}"
    running = started(name, folder=folder)
    found = []
    with Store.attach(name, 20, reconnect_s=30) as store:
        store.put("t", "a", b"flushed")
        store.flush()
        waiting = threading.Thread(target=lambda: found.append(store.wait("t", "later", 60).size))
        waiting.start()
        time.sleep(0.3)
        kill(running)
        running = started(name, folder=folder)
        assert store.get("t", "a") == b"flushed"
        store.put("t", "later", bytes(5 * MIB))
        waiting.join(20)
        assert found == [5 * MIB]
        assert running.end() == 0
        running = started(name, folder=folder)
        store.put("t", "b", b"x", if_generation=0)          # sure to be done once: nobody had it before
        assert store.list("t") == ["a", "b", "later"]
    with Store.attach(name, 20, reconnect_s=30) as store:
        kill(running)
        running = started(name, folder=folder)
        store.put("t", "mid", bytes(MIB))           # the first one for which memory is leased: the daemon that isn't there was never asked
    assert running.end() == 0


def test_a_flush_says_that_what_it_was_to_flush_went_with_the_daemon(started, tmp_path):
    folder, name = tmp_path / "store", f"gone{os.getpid()}"
    running = started(name, folder=folder)
    with Store.attach(name, 20, reconnect_s=30) as store:
        store.put("t", "a", b"flushed")
        store.flush()
        kill(running)
        running = started(name, folder=folder)
        store.flush()                   # nothing was put since
        store.put("t", "b", b"lost")
        kill(running)
        running = started(name, folder=folder)
        store.put("t", "c", b"x")
        with pytest.raises(StoreError, match=f"the daemon '{name}' that had what this program has put since its last flush has gone"):
            store.flush_all()
        store.flush()
        assert store.list("t") == ["a", "c"]
    assert running.end() == 0


def test_a_daemon_that_stops_answers_what_it_has_taken(started, tmp_path):
    """Its end waits for calls under way, and not for who waits for a blob."""
    folder, name = tmp_path / "store", f"stops{os.getpid()}"
    running = started(name, folder=folder)
    done, told, long = [], [], []

    def put():
        with contextlib.suppress(RuntimeGone), Store.attach(name, 20) as store:
            for number in range(10_000):
                store.put("t", str(number), bytes(100_000))
                done.append(number)

    def put_long():
        """In pieces: the end may come between two of them."""
        with Store.attach(name, 20) as store:
            try:
                while True:
                    store.put("t", "long", bytes(24 * MIB))
            except Exception as error:
                long.append(type(error))

    def wait():
        with Store.attach(name, 20) as store:
            try:
                store.wait("t", "never", 300)
            except RuntimeGone as error:
                told.append(str(error))

    threads = [threading.Thread(target=put), threading.Thread(target=put_long), threading.Thread(target=wait)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(done) > 20, "nothing is put")
    assert running.end() == 0
    for thread in threads:
        thread.join(15)
    assert told and long == [RuntimeGone]
    with Store.open(folder) as store:
        assert set(map(str, done)) <= set(store.list("t"))
        assert all(store.size("t", str(number)) == 100_000 for number in done)


@needs_mpirun
@pytest.mark.parametrize("ranks, per_node", [(2, "2"), (2, "1"), (4, "2")])
def test_a_daemon_of_several_ranks_and_nodes(started, tmp_path, ranks, per_node):
    folder, name = tmp_path / "store", f"many{ranks}{per_node}{os.getpid()}"
    running = started(name, ranks, folder=folder, ram="32m", env={"WRP_RANKS_PER_NODE": per_node})
    nodes = ranks // int(per_node)
    names = [name, f"{name}.1"][:nodes]
    stores = [Store.attach(each, 20) for each in names]
    for number, store in enumerate(stores):
        assert store.ranks.nodes == nodes and store.ranks.node == number
        for blob in range(20):
            store.put("t", f"{number}.{blob}", bytes([blob]) * 3000)
        store.put("long", str(number), bytes(5 * MIB))
    for store in stores:
        assert len(store.list("t")) == 20 * nodes
        assert all(store.get("t", blob) == bytes([int(blob.split(".")[1])]) * 3000 for blob in store.list("t"))
        assert store.get("long", str(nodes - 1)) == bytes(5 * MIB)
        assert store.statistics("all").tags["t"].blobs == 20 * nodes == sum(store.statistics(node).tags["t"].blobs for node in range(nodes))
        assert sum(entry.op == Op.PUT_BLOB for entry in store.telemetry(node="all").entries) == 21 * nodes and store.telemetry(node=store.ranks.node).entries[0].node == store.ranks.node
        store.flush_all()
    found = []
    waiting = threading.Thread(target=lambda: found.append(stores[0].wait("t", "late", 20).size))
    waiting.start()
    stores[-1].put("t", "late", b"x")
    waiting.join(20)
    assert found == [1]
    with pytest.raises(WaitTimeout, match="waited 0.1 s for blob 'none' of tag 't', which nobody has put"):
        stores[-1].wait("t", "none", 0.1)
    for store in stores:
        store.close()
    with View(name) as view:            # to a signal mpirun gives its ranks a fifth of a second
        assert view.stop(20)
    assert running.wait() == 0, running.lines
    with Store.open(folder, write=False) as store:
        assert len(store.list("t")) == 20 * nodes + 1


@needs_mpirun
@pytest.mark.parametrize("ranks", [0, 2])
def test_a_store_that_is_composed_while_the_daemon_runs(plain, tmp_path, capsys, ranks):
    running = plain(ranks)
    conf = tmp_path / "store.yaml"
    conf.write_text(f"compose: [{{mod_name: wrp_cte_core, pool_name: late, folder: {tmp_path / 'store'}, pool_id: '512.0', restart: true}}]\n"
                    "storage: [{path: 'ram::late', capacity_limit: 16m}, {path: data, bdev_type: file, capacity_limit: 32m}]\nperformance: {telemetry_entries: 100}")
    assert chimaera.main(["compose", str(conf), "--name", running.name]) == 0, capsys.readouterr()
    with Store.attach(running.name, 20) as store:
        assert [(target.name, target.capacity) for target in store.targets() if target.kind == "ram"] == [("ram::late", 16 * MIB)]
        assert store.config.get("performance.telemetry_entries") == 100 and store.folder == str(tmp_path / "store")
        store.put("t", "a", b"x")
    assert chimaera.main(["compose", str(conf), "--name", running.name]) == 0           # it is there
    conf.write_text("compose: [{mod_name: clio_cte_core, pool_name: second}]")
    assert chimaera.main(["compose", str(conf), "--name", running.name]) == 2
    assert "the daemon serves a store already, as pool 'late'" in capsys.readouterr().err
    with View(running.name) as view:
        assert view.stop(20)
    assert running.wait() == 0, running.lines
    running = plain(ranks, "restart")
    with Store.attach(running.name, 20) as store:
        assert store.get("t", "a") == b"x" and store.targets()[0].capacity == 16 * MIB
    with View(running.name) as view:
        assert view.stop(20)
    assert running.wait() == 0, running.lines


@pytest.fixture
def plain(tmp_path):
    """plain(ranks, command="start") -> Running, of a daemon without a store in its configuration; a node for each rank."""
    conf, running = tmp_path / "conf.yaml", []
    conf.write_text(f"runtime: {{timeout_s: 20, segment_capacity: 128m, conf_dir: {tmp_path / 'kept'}}}")

    def start(ranks, command="start"):
        running.append(Running(f"plain{ranks}{os.getpid()}", conf, ranks, {"WRP_STORE": "", "WRP_RANKS_PER_NODE": "1"}, command=command))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.end()
