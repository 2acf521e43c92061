"""Jobs of several nodes that end: reopened by other numbers of ranks, killed, with a node that stands still."""

import textwrap

import pytest

from harness.isolated import Nodes
from harness.machines import NoNamespaces
from harness.mpirun import needs_mpirun, run_python
from harness.standing import STANDING
from wrp.cte import Store

_HEAD = STANDING + """
import os, signal, sys, time
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.cte.homes import home_of
from wrp.errors import WaitTimeout
ranks = world()
def data(number):
    return bytes([number]) * (1 + 900 * number)
def wait(until):
    while not until():
        time.sleep(0.005)
def counted(store):  # numbers of the nodes that this rank asks something, from now on
    asking, asked = store._net._asking, []
    send = asking.send
    asking.send = lambda node, *args: asked.append(node) or send(node, *args)
    return asked
"""
_LIMIT_S = 60        # of a job; what waits for a rank tells so a little before, and not much earlier: a loaded machine is slow
_PATIENT = {"WRP_TIMEOUT_S": "100"}         # what waits for that, in place of networking.net_timeout, outlasts its job's limit


def job(ranks, split, code, env=None):
    return run_python(_HEAD + textwrap.dedent(code), ranks, _LIMIT_S, {"WRP_RANKS_PER_NODE": str(split), "WRP_TIMEOUT_S": str(_LIMIT_S - 15), **(env or {})})


@needs_mpirun
@pytest.mark.timeout(4 * _LIMIT_S)          # four jobs
def test_reopened_by_other_numbers_of_nodes(tmp_path):
    """Whoever opens it finds every blob at its home of this time, changes it, and gives its space back to whose it is."""
    change = f"""
    with Store.open({str(tmp_path / "store")!r}, ranks) as store:
        before = int(sys.argv[1]) if len(sys.argv) > 1 else BEFORE
        assert store.list("t") == [f"b{{n}}" for n in range(40)] if before else store.tags() == []
        for n in range(40):
            assert not before or store.get("t", f"b{{n}}") == data((n + before) % 200)
        ranks.barrier("all have looked")
        for n in range(ranks.rank, 40, ranks.size):
            store.put("t", f"b{{n}}", data((n + before + 1) % 200))
        with store.batch("more") as batch:
            batch.put("batch", f"r{{ranks.rank}}", data(before))
    """
    for before, (ranks, split) in enumerate(((3, 1), (1, 1), (4, 2), (2, 1))):
        done = job(ranks, split, change.replace("BEFORE", str(before)))
        assert done.returncode == 0, done.stderr
    with Store.open(tmp_path / "store") as store:
        assert [store.get("t", f"b{n}") for n in range(40)] == [bytes([n + 4]) * (1 + 900 * (n + 4)) for n in range(40)]
        assert store.list("batch") == ["r0", "r1", "r2", "r3"]


@needs_mpirun
def test_nodes_flush_by_themselves(tmp_path):
    """Every home writes down what came there, and every rank what it has removed, without a flush: all of the job may die then."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("storage: [{path: 'ram::r', capacity_limit: 8m}, {path: data, bdev_type: file, capacity_limit: 32m}]\n"
                    "performance: {flush_data_period_ms: 30, transaction_log_capacity: 1k}\n")
    done = job(3, 1, f"""
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    for n in range(ranks.rank, 60, 3):
        store.put("t", f"b{{n}}", data(n))
    ranks.barrier("all have put")
    if ranks.rank == 0:
        for n in range(0, 60, 2):
            store.delete("t", f"b{{n}}")
    ranks.barrier("half is gone")
    while store._here._catalog.scan(dirty=True) or store._here._changes.owed:
        time.sleep(0.01)
    ranks.barrier("all is written down")
    os.kill(os.getpid(), signal.SIGKILL)
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode and "Traceback" not in done.stderr, done.stderr
    with Store.open(tmp_path / "store") as store:
        assert store.list("t") == [f"b{n}" for n in range(1, 60, 2)]
        assert all(store.get("t", f"b{n}") == bytes([n]) * (1 + 900 * n) for n in range(1, 60, 2))


@needs_mpirun
def test_a_killed_rank_ends_the_job_and_what_was_flushed_anywhere_is_kept(tmp_path):
    """One rank's flush reaches every home that it has written to: all of the job may die then."""
    done = job(3, 1, f"""
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    if ranks.rank == 0:
        for n in range(30):
            store.put("t", f"b{{n}}", data(n))
        store.delete("t", "b7")
        store.flush()
        print("flushed", flush=True)
    ranks.barrier("flushed")
    store.put("t", f"lost{{ranks.rank}}", b"x" * 100_000)
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        try:
            store.get("t", "b1")
        except WaitTimeout:
            pass
    """)
    assert done.returncode != 0 and "flushed" in done.stdout
    with Store.open(tmp_path / "store") as store:
        found = [blob for blob in store.list("t") if blob.startswith("b")]
        assert found == [f"b{n}" for n in range(30) if n != 7]
        assert all(store.get("t", blob) == bytes([int(blob[1:])]) * (1 + 900 * int(blob[1:])) for blob in found)


@needs_mpirun
def test_a_node_that_stands_still_is_named_within_the_limit(tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking:\n  net_timeout: 1\n")
    done = job(2, 1, f"""
    store = Store.open(None, ranks)
    blob = next(f"b{{n}}" for n in range(1000) if home_of("t", f"b{{n}}", 2) == 1)
    store.put("t", blob, b"x" * 100)
    pids = ranks.gather(os.getpid(), "pids")
    if ranks.rank == 0:
        stop(pids[1])
        for call in (lambda: store.get("t", blob), lambda: store.put("t", blob, b"y"), lambda: store.blobs(".*"), lambda: store.telemetry(node="all"), lambda: store.statistics(1)):
            try:
                call()
                print("no error")
            except WaitTimeout as error:
                print("said:", error)
        assert store.telemetry(node=0) == store.telemetry() and store.statistics(0) == store.statistics()       # of its own node, without a wait
        os.kill(pids[1], signal.SIGCONT)
        print("again:", len(store.get("t", blob)), flush=True)
    ranks.barrier("over")
    store.close()
    """, {"WRP_RUNTIME_CONF": str(conf), **_PATIENT})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("said: rank 0 waited for node 1 on") == 5 and "again:" in done.stdout, done.stdout + done.stderr


@needs_mpirun
def test_a_silent_node_gets_its_space_back_when_it_answers_again(tmp_path):
    """Blobs that lie on their home's neighbours are deleted: the call is done, the other node has its space at once, the silent one after a later call, once."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("storage: [{path: 'ram::r', capacity_limit: 16m}]\nnetworking: {net_timeout: 0.5}\n")
    done = job(3, 1, f"""
    store = Store.open(None, ranks)
    blobs = [f"b{{n}}" for n in range(1000) if home_of("t", f"b{{n}}", 3) == 0][:3]
    pids = ranks.gather(os.getpid(), "pids")
    def left(node):
        return store._net.at(node, "left")
    store._net.calls["left"] = lambda: store.targets()[0].remaining
    ranks.barrier("all can be asked")
    if ranks.rank == 0:
        for blob in blobs:
            store.put("t", blob, os.urandom(10 << 20))
        assert [left(node) < 7 << 20 for node in range(3)] == [True] * 3
        stop(pids[1])
        for blob in blobs:
            store.delete("t", blob)
        assert left(2) > 15 << 20
        asked = counted(store)
        for _ in range(200):
            store.put("t", blobs[0], b"x")
        assert asked.count(1) < 100                 # not with each put
        os.kill(pids[1], signal.SIGCONT)
        while left(1) < 15 << 20:
            time.sleep(0.1)
            store.put("t", blobs[0], b"x")
        box, asking = store._net._away._boxes[1], store._net._asking
        box.waiting[:], box._count = [(0, 0, 4096, 0)], 1                   # confirmed, but sent again
        box.send()
        letter, device = [(0, 0, 4096, 0)], asking._mail._device
        asking._idle.clear()
        full = [(device.lease(nbytes), nbytes) for nbytes in (1 << 20, 4096) for _ in range(device.free // nbytes)]
        box.waiting[:], box._count = letter, 1
        box.send()
        kept = box.waiting == letter                # no room to ask: it hasn't left, and isn't lost
        for place, nbytes in full:
            device.give_back(place, nbytes)
        while box.waiting:
            time.sleep(0.1)
            box.send()
        print("said", kept and left(1) > 15 << 20, flush=True)
    ranks.barrier("over")
    store.close()
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode == 0 and "said True" in done.stdout, done.stdout + done.stderr
    assert "node 1 isn't told that" in done.stderr and "free already" not in done.stderr


@needs_mpirun
def test_a_flush_fails_while_a_node_that_owes_is_silent_and_keeps_what_is_owed(tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 0.5}\n")
    done = job(2, 1, f"""
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    blob = next(f"b{{n}}" for n in range(1000) if home_of("t", f"b{{n}}", 2) == 1)
    pids = ranks.gather(os.getpid(), "pids")
    if ranks.rank == 0:
        store.put("t", blob, b"owed")
        stop(pids[1])
        for _ in range(2):
            try:
                store.flush()
                print("no error")
            except WaitTimeout as error:
                print("said:", error)
        os.kill(pids[1], signal.SIGCONT)
        store.flush()
        print("flushed", flush=True)
        os.kill(pids[1], signal.SIGKILL)
    time.sleep(20)
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode and done.stdout.count("said: rank 0 waited for node 1 on") == 2 and "flushed" in done.stdout, done.stdout + done.stderr
    with Store.open(tmp_path / "store", write=False) as store:
        assert [store.get(tag, blob) for tag, blob in store.blobs("t")] == [b"owed"]


@needs_mpirun
def test_what_is_on_two_nodes_is_read_without_a_silent_home(tmp_path):
    """Every put that has returned, in its last state; what was deleted isn't there. Changes, which need the home, say who is silent."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 0.5}\ntargets: {replicas: 2}\n")
    done = job(3, 1, f"""
    store = Store.open(None, ranks)
    small, large, gone = [f"b{{n}}" for n in range(1000) if home_of("t", f"b{{n}}", 3) == 1][:3]
    pids = ranks.gather(os.getpid(), "pids")
    if ranks.rank == 0:
        for blob in (small, large, gone):
            store.put("t", blob, b"before")
    ranks.barrier("put")
    if ranks.rank == 2:
        store.put("t", small, data(1))
        store.append("t", large, data(200))
        store.delete("t", gone)
    ranks.barrier("changed")
    if ranks.rank == 0:
        stop(pids[1])
        assert store.get("t", small) == data(1) and store.get("t", large, 3, 10) == (b"before" + data(200))[3:13]
        assert bytes(store.view("t", large)) == b"before" + data(200) and store.get_many("t", [small, small]) == [data(1)] * 2
        for call in (lambda: store.get("t", gone), lambda: store.put("t", small, b"y"), lambda: store.delete("t", small)):
            try:
                call()
                print("no error")
            except WaitTimeout as error:
                print("said:", error)
        os.kill(pids[1], signal.SIGCONT)
        print("again:", store.size("t", large), flush=True)
    ranks.barrier("over")
    store.close()
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("said: rank 0 waited for node 1 on") == 3 and "again:" in done.stdout, done.stdout + done.stderr


@needs_mpirun
def test_without_a_silent_home_a_copy_is_what_the_last_sweep_brought_and_says_so(tmp_path):
    """Who has put something newer gets no older copy. Puts wait for no silent keeper: it gets what is owed when it answers again."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 0.5}\ntargets: {replicas: 2, replicate_period_ms: 60000}\n")
    done = job(3, 1, f"""
    import warnings
    from wrp.errors import MaybeOlder
    warnings.simplefilter("always")
    store = Store.open(None, ranks)
    blob, kept = (next(f"b{{n}}" for n in range(1000) if home_of("t", f"b{{n}}", 3) == home) for home in (1, 0))
    pids = ranks.gather(os.getpid(), "pids")
    if ranks.rank == 2:
        store.put("t", blob, b"first")
        store.replicate()
        store.put("t", blob, data(100))
    ranks.barrier("put")
    if ranks.rank == 0:
        stop(pids[1])
    said = []
    if ranks.rank != 1:
        wait(lambda: stands(pids[1]))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                said.append(store.get("t", blob))
            except WaitTimeout:
                said.append("newer")
        said.append([str(each.message).split(":")[0] for each in warned if each.category is MaybeOlder])
        print("rank", ranks.rank, said, flush=True)
    if ranks.rank == 2:
        open({str(tmp_path / "looked")!r}, "w").close()
    if ranks.rank == 0:
        store.put("t", kept, b"owed")
        store.put("t", kept, data(3))
        try:
            store.replicate()
        except WaitTimeout:
            print("owed", store.statistics().owed, flush=True)
        wait(lambda: os.path.exists({str(tmp_path / "looked")!r}))
        os.kill(pids[1], signal.SIGCONT)
        store.replicate()
        print("then", store.statistics().owed, store._net.at(1, "copy", f"t\\0{{kept}}")[1] == data(3), store.get("t", blob) == data(100), flush=True)
    ranks.barrier("over")
    store.close()
    """, {"WRP_RUNTIME_CONF": str(conf), **_PATIENT})
    assert done.returncode == 0, done.stderr
    for line in ("rank 2 ['newer', []]", "owed 1", "then 0 True True"):
        assert line in done.stdout, done.stdout + done.stderr
    assert "rank 0 [b'first', [\"blob '" in done.stdout and "is read from a copy, since its home, node 1, is silent" in done.stdout, done.stdout


@needs_mpirun
def test_a_node_that_stood_still_serves_nothing_old_from_its_cache(tmp_path):
    """A change of what it keeps waits for nobody."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 0.5}\ntargets: {cache: 8m}\n")
    done = job(2, 1, f"""
    store = Store.open(None, ranks)
    blob = next(f"b{{n}}" for n in range(1000) if home_of("t", f"b{{n}}", 2) == 0)
    pids = ranks.gather(os.getpid(), "pids")
    if ranks.rank == 0:
        store.put("t", blob, data(50))
    ranks.barrier("put")
    if ranks.rank == 1:
        for turn in range(2):
            assert store.get("t", blob) == data(50) and store.statistics().cache.hits == turn
    ranks.barrier("kept")
    if ranks.rank == 0:
        stop(pids[1])
        asked = counted(store)
        store.put("t", blob, data(51))
        print("put asks", asked, flush=True)
        os.kill(pids[1], signal.SIGCONT)
    else:
        while (found := store.get("t", blob)) == data(50):
            pass
        assert found == data(51) and store.get("t", blob) == data(51)
        stop(pids[0])
        try:
            store.get("t", blob)
        except WaitTimeout:
            print("kept, but maybe old", flush=True)
        os.kill(pids[0], signal.SIGCONT)
    ranks.barrier("over")
    store.close()
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode == 0 and "put asks []" in done.stdout and "kept, but maybe old" in done.stdout, done.stdout + done.stderr


@needs_mpirun
def test_isolated_nodes_over_tcp(tmp_path):
    """Nothing is shared but the store's folder and the network."""
    try:
        nodes = Nodes(2, tmp_path)
    except NoNamespaces as reason:
        pytest.skip(str(reason))
    try:
        done = nodes.run(1, _HEAD + textwrap.dedent(f"""
        for folder in (None, {str(tmp_path / "store")!r}):
            with Store.open(folder, ranks) as store:
                for n in range(10):
                    store.put("t", f"r{{ranks.rank}}.{{n}}", data(n) * 20)
                ranks.barrier("all is put")
                for rank in range(2):
                    assert store.get_many("t", [f"r{{rank}}.{{n}}" for n in range(10)]) == [data(n) * 20 for n in range(10)]
                with store.batch("b") as batch:
                    batch.put("b", f"r{{ranks.rank}}", data(100))
                assert store.get("b", "r0") == store.get("b", "r1") == data(100) and len(store.list("t")) == 20
                ranks.barrier("all have looked")
        print("done", ranks.rank, flush=True)
        """), 50)
        assert done.returncode == 0 and done.stdout.count("done") == 2, done.stdout + done.stderr
        assert not any(nodes.left().values())
    finally:
        nodes.close()


@needs_mpirun
def test_a_store_whose_sweep_hangs_says_so_when_it_is_closed_and_keeps_its_folder(tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text("targets: {replicas: 2, replicate_period_ms: 20}\n")
    done = job(2, 1, f"""
    import threading
    from wrp.comm.ranks.solo import Solo
    from wrp.errors import StoreBusy
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    parts, sweeping, hangs, answers = store._parts, store._routes.keepers.sweeping, threading.Event(), threading.Event()
    sweeping._renewed = lambda home, names: hangs.set() or answers.wait()
    store.put("t", f"b{{ranks.rank}}", b"x" * 100)
    assert hangs.wait(30)
    ranks.barrier("every rank's sweep hangs")
    sweeping._timeout_s = 0.3
    try:
        store.close()
    except WaitTimeout as error:
        assert "can't be closed: the thread wrp-replicas of process" in str(error), error
    assert parts.is_stuck and not any(thread.name == "wrp-watch" for thread in threading.enumerate())
    parts.journal.append(dict(put=[], remove=[]))         # what the thread may yet write has its files
    ranks.barrier("every rank has looked")
    if ranks.rank == 0:
        try:
            Store.open({str(tmp_path / "store")!r}, Solo())
        except StoreBusy as error:
            print("said:", error, flush=True)
    ranks.barrier("rank 0 has tried")
    os._exit(0)
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.stdout.count("said: ") == 1, done.stdout + done.stderr
