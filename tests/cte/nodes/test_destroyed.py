"""Tags destroyed over several nodes: by jobs that are killed in between, and while a node stands still."""

import textwrap

import pytest
from harness.mpirun import needs_mpirun, run_python
from harness.standing import STANDING

from wrp.cte import Store

_HEAD = STANDING + """
import os, signal, sys, time
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import NoSuchTag, WaitTimeout
ranks = world()
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def fill(store, tags):
    if ranks.rank == 0:
        for tag in tags:
            for n in range(20):
                store.put(tag, f"b{n}", tag.encode() * (1 + 300 * n))
    ranks.barrier("put")
"""
_KILLED_AT = {
    "node 0 writes it down": "journal.append = die",
    "node 0 has written it down": "journal.append = lambda *args, append=journal.append: die(append(*args))",
    "one node has written down what went, the other hasn't heard of it": """begin = store._net.begin
        def begun(node, call, *args):
            if call == "destroy" and node == 2:
                while any(store._net.at(1, "exists", own) for own, _ in args[0]):
                    time.sleep(0.001)
                store._net.at(1, "flush"), die()
            return begin(node, call, *args)
        store._net.begin = begun""",
}


def job(ranks, code, env=None):
    return run_python(_HEAD + textwrap.dedent(code), ranks, 60, {"WRP_RANKS_PER_NODE": "1", "WRP_TIMEOUT_S": "20", **(env or {})})


@needs_mpirun
@pytest.mark.parametrize("at, destroyed", [("node 0 writes it down", "checkpoint"), ("node 0 has written it down", "plain"), ("node 0 has written it down", "folder"),
                                           ("one node has written down what went, the other hasn't heard of it", "checkpoint")])
def test_killed_anywhere_a_tag_is_there_whole_or_not_at_all(tmp_path, at, destroyed):
    done = job(3, f"""
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    fill(store, ["plain", "folder/a", "folder/b/c", "source"])
    if ranks.rank == 0:
        store.checkpoint("checkpoint", "source")
    ranks.barrier("made")
    fill(store, ["checkpoint"])
    store.flush_all()
    if ranks.rank == 0:
        journal = store._parts.journal
        {_KILLED_AT[at]}
        store.destroy({destroyed!r}, recursive={destroyed == "folder"})
        print("not killed", flush=True)
    time.sleep(30)
    """)
    assert done.returncode and "Traceback" not in done.stderr and "not killed" not in done.stdout, done.stdout + done.stderr
    wanted = ["checkpoint", "folder/a", "folder/b/c", "plain", "source"]
    if at != "node 0 writes it down":
        wanted = [tag for tag in wanted if not tag.startswith(destroyed)]
    for write in (False, True, True):
        with Store.open(tmp_path / "store", write=write) as store:
            assert store.tags() == wanted
            for tag in wanted:
                assert [store.get(tag, f"b{n}") for n in range(20)] == [tag.encode() * (1 + 300 * n) for n in range(20)]
            if write:
                store.put("again", "b", b"x"), store.destroy("again")
                assert bool(store._tag_names.sources) == ("checkpoint" in wanted)
    with Store.open(tmp_path / "store") as store:
        store.put(destroyed, "b0", b"new"), store.flush()
    with Store.open(tmp_path / "store", write=False) as store:
        assert store.get(destroyed, "b0") == b"new" and (len(store.list(destroyed)) == 1) == (destroyed not in wanted)


@needs_mpirun
def test_a_folder_destroyed_while_a_node_stands_still_goes_when_it_is_done_again(tmp_path):
    """Whatever it has come to, the sentence says whether it is gone; then nothing of it is seen any more."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 2}\n")          # longer than a busy machine lets a node wait
    done = job(2, f"""
    store = Store.open(None, ranks)
    pids = ranks.gather(os.getpid(), "pids")
    begin = store._net.begin
    def same(tags):
        limit = time.monotonic() + 10        # names that a node hasn't heard of it hears of when it answers
        while store.tags() != tags:
            assert time.monotonic() < limit, (ranks.rank, store.tags(), tags)
            time.sleep(0.001)
        ranks.barrier("all have looked")
    for stopped_at, is_gone in (("tags", False), ("hold_names", False), ("take_names", True), ("destroy", True)):
        fill(store, ["f/a", "f/b/c", "t"])
        if ranks.rank == 0:
            store.checkpoint("f/k", "f/a")
            store.put("f/k", "b0", b"own")
        ranks.barrier("made")
        if ranks.rank == 0:
            def stopping(node, call, *args):
                if call == stopped_at:
                    store._net.begin = begin
                    stop(pids[1])
                return begin(node, call, *args)
            store._net.begin = stopping
            start = time.monotonic()
            try:
                store.destroy("f", recursive=True)
            except WaitTimeout as error:
                print("said:", error)
            print("late" if time.monotonic() - start > 20 else "in time")
            os.kill(pids[1], signal.SIGCONT)
        ranks.barrier("said")
        same(["t"] if is_gone else ["f/a", "f/b/c", "f/k", "t"])
        if ranks.rank == 0:
            store.destroy("f", recursive=True)
            try:
                store.destroy("f", recursive=True)
            except NoSuchTag:
                print("gone")
        ranks.barrier("done again")
        same(["t"])
        assert {{record.tag for record in store._here._catalog.scan()}} <= {{"t", "\uffff"}} and len(store.list("t")) == 20
        ranks.barrier("all have looked into the catalog")
    store.close()
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode == 0 and done.stdout.count("in time") == done.stdout.count("gone\n") == 4, done.stdout + done.stderr
    said = [line.partition(": rank 0 waited for node 1 on")[0] for line in done.stdout.splitlines() if line.startswith("said")]
    assert said == ["said: 'f' is not destroyed"] * 2 + ["said: 'f' is gone, but not from all nodes"] * 2, done.stdout


@needs_mpirun
def test_what_a_node_with_a_slow_clock_puts_before_it_hears_of_a_destroy_stays(tmp_path):
    """Node 0's clock is an hour ahead, node 1 stands still when a tag goes, and its mailbox is full: it hears of that with the next destroy, or never."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 1, mailbox_depth: 4}\n")
    done = job(2, f"""
    from wrp.cte.homes import home_of
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    pids, catalog, before = ranks.gather(os.getpid(), "pids"), store._parts.catalog, time.time_ns()
    if ranks.rank == 0:
        with catalog.changing("setting the clock ahead"):
            catalog.seen_stamp(before + 3600 * 10**9)
    fill(store, ["t", "u", "other"])
    store.flush_all()
    for tag in ("t", "u"):
        if ranks.rank == 0:
            begin = store._net.begin
            def stopping(node, call, *args):
                if call == "destroy":
                    store._net.begin = begin
                    stop(pids[1])
                    store._net.answers([begin(1, "exists", "x") for _ in range(8)], WaitTimeout)
                return begin(node, call, *args)
            store._net.begin = stopping
            try:
                store.destroy(tag)
            except WaitTimeout as error:
                print("said:", error)
            os.kill(pids[1], signal.SIGCONT)
        ranks.barrier("said")
        if ranks.rank == 1:
            new = next(f"new{{n}}" for n in range(1000) if home_of(tag, f"new{{n}}", 2) == 1)
            print("old ones", len([n for n in range(20) if catalog.find(f"{{tag}}\\0b{{n}}")]) > 0)
            store.put(tag, new, b"new")
            store.flush()
        ranks.barrier("put")
        if tag == "t" and ranks.rank == 0:
            store.destroy("other")
        ranks.barrier("destroyed")
        if ranks.rank == 1:
            print("there", store.get(tag, new), flush=True)
    ranks.barrier("all have looked")
    os.kill(os.getpid(), signal.SIGKILL)
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.stdout.count("is gone, but not from all nodes") == 2 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert done.stdout.count("old ones True") == done.stdout.count("there b'new'") == 2, done.stdout + done.stderr
    for write in (False, True, True):
        with Store.open(tmp_path / "store", write=write) as store:
            assert store.tags() == ["t", "u"] and all([store.get(tag, blob) for blob in store.list(tag)] == [b"new"] for tag in ("t", "u"))


@needs_mpirun
def test_a_destroy_that_was_given_up_while_node_0_stood_still_never_happens(tmp_path):
    """Nor does a change of names: what was put meanwhile into the tag stays."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 1}\n")
    done = job(2, """
    from wrp.cte.homes import home_of
    store = Store.open(None, ranks)
    pids = ranks.gather(os.getpid(), "pids")
    fill(store, ["t", "u"])
    if ranks.rank == 1:
        stop(pids[0])
        for call in (lambda: store.destroy("t"), lambda: store.alias("t", "w"), lambda: store.rename_tag("u", "v")):
            try:
                call()
            except WaitTimeout as error:
                print("said:", error, flush=True)
        new = next(f"new{n}" for n in range(1000) if home_of("t", f"new{n}", 2) == 1)
        store.put("t", new, b"new")
        os.kill(pids[0], signal.SIGCONT)
        for number in range(3):         # what has come before them is done, or never is
            store.alias("u", f"after{number}")
        assert store.tags() == ["after0", "after1", "after2", "t", "u"] and len(store.list("t")) == 21 and store.get("t", new) == b"new"
        store.destroy("t")
        assert store.tags() == ["after0", "after1", "after2", "u"]
    ranks.barrier("it has looked")
    store.close()
    """, {"WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode == 0 and done.stdout.count("said: rank 1 waited for node 0 on") == 3, done.stdout + done.stderr


@needs_mpirun
def test_a_node_that_is_silent_when_all_flush_is_named_and_what_others_flush_by_themselves_is_kept(tmp_path):
    """It finds out itself, too, when it goes on; a tag that is destroyed twice meanwhile is told to be so."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 1}\n")
    done = job(2, f"""
    import pathlib
    from wrp.cte.homes import home_of
    store = Store.open({str(tmp_path / "store")!r}, ranks)
    pids = ranks.gather(os.getpid(), "pids")
    fill(store, ["t", "u"])
    store.flush_all()
    new = next(f"new{{n}}" for n in range(1000) if home_of("t", f"new{{n}}", 2) == 0)
    store_is_flushed, all_is_said = pathlib.Path({str(tmp_path / "flushed")!r}), pathlib.Path({str(tmp_path / "said")!r})
    def wait_for(path):
        while not path.exists():
            time.sleep(0.005)
    def said(call):
        try:
            call()
        except WaitTimeout as error:
            print(f"rank {{ranks.rank}} said:", error, flush=True)
    if ranks.rank == 0:
        begin = store._net.begin
        def stopping(node, call, *args):
            if call == "destroy":
                store._net.begin = begin
                stop(pids[1])
            return begin(node, call, *args)
        store._net.begin = stopping
        said(lambda: store.destroy("u")), said(lambda: store.destroy("u"))
        store.put("t", new, b"new")
        said(store.flush_all)
        assert store.get("t", new) == b"new"
        os.kill(pids[1], signal.SIGCONT)
        store.destroy("u"), store.flush()
        said(store.close)
        store_is_flushed.touch()
    else:
        wait_for(store_is_flushed)
        said(store.flush_all), said(store.close)
        all_is_said.touch()
    wait_for(all_is_said)
    os._exit(3)
    """, {"WRP_RUNTIME_CONF": str(conf), "WRP_TIMEOUT_S": "3"})
    assert done.returncode and "Traceback" not in done.stderr, done.stdout + done.stderr
    for line in ("rank 0 said: 'u' is gone, but not from all nodes: rank 0 waited for node 1", "rank 0 said: 'u' isn't gone from all nodes yet: rank 0 waited for node 1",
                 "in 'every rank flushes the store'; all ranks of this node are there; missing is one of the ranks 1 on other nodes"):
        assert line in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("rank 1 said: ") == 2, done.stdout
    with Store.open(tmp_path / "store") as store:
        assert store.tags() == ["t"] and len(store.list("t")) == 21
