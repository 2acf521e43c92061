"""Names of tags that change while a node stands still."""

import textwrap

from harness.mpirun import needs_mpirun, run_python


@needs_mpirun
def test_a_node_that_missed_what_was_taken_back_has_the_names_that_there_are(tmp_path):
    """The change lies in its mailbox, which has room for no more: it takes that when it goes on, and then what there is, without another change."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 1, mailbox_depth: 4}\n")
    done = run_python(textwrap.dedent("""
    import os, signal, time
    from wrp.comm.ranks import world
    from wrp.cte import Store
    from wrp.errors import WaitTimeout
    ranks = world()
    store = Store.open(None, ranks)
    store.create("t")
    pids = ranks.gather(os.getpid(), "pids")
    word = store._parts.catalog.names_word
    if ranks.rank == 0:
        begin = store._net.begin
        def stopping(node, call, *args):
            if call == "take_names":
                store._net.begin = begin
                os.kill(pids[1], signal.SIGSTOP)
            return begin(node, call, *args)
        store._net.begin = stopping
        try:
            store.alias("t", "u")
            print("no error")
        except WaitTimeout:
            print("refused")
        os.kill(pids[1], signal.SIGCONT)
    number = ranks.share(word.value, "how many changes there were")
    deadline = time.monotonic() + 15
    while word.value < number and time.monotonic() < deadline:
        time.sleep(0.01)
    assert word.value == number and not store._names.table(), (word.value, number, store._names.table())
    ranks.barrier("all have looked")
    if ranks.rank == 0:
        store.alias("t", "w")
    ranks.barrier("it works again")
    assert store.tags() == ["t", "w"]
    ranks.barrier("all have looked again")
    store.close()
    """), 2, 60, {"WRP_RANKS_PER_NODE": "1", "WRP_TIMEOUT_S": "20", "WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("refused") == 1, done.stdout + done.stderr
