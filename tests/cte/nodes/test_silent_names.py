"""Names of tags that change while a node stands still."""

import textwrap

import pytest
from harness.mpirun import needs_mpirun, run_python
from harness.standing import STANDING


@needs_mpirun
@pytest.mark.parametrize("call, is_changed", [("hold_names", False), ("take_names", True)])
def test_a_node_that_stood_still_has_the_names_that_there_are(tmp_path, call, is_changed):
    """Half of the change lies in its mailbox, which has room for no more: what was refused it never takes, and what has happened it knows without another change."""
    conf = tmp_path / "conf.yaml"
    conf.write_text("networking: {net_timeout: 1, mailbox_depth: 4}\n")
    done = run_python(STANDING + textwrap.dedent(f"""
    from wrp.comm.ranks import world
    from wrp.cte import Store
    from wrp.cte.naming.shared import held
    from wrp.errors import WaitTimeout
    ranks, is_changed = world(), {is_changed}
    store = Store.open(None, ranks)
    store.create("t")
    pids = ranks.gather(os.getpid(), "pids")
    catalog = store._parts.catalog
    word = catalog.names_word
    if ranks.rank == 0:
        begin = store._net.begin
        def stopping(node, call, *args):
            if call == "{call}":
                store._net.begin = begin
                stop(pids[1])
            return begin(node, call, *args)
        store._net.begin = stopping
        try:
            store.alias("t", "u")
            print("no error")
        except WaitTimeout:
            print("refused")
        os.kill(pids[1], signal.SIGCONT)
        assert word.value == is_changed and store.own_name("u") == ("t" if is_changed else "u")
    number = ranks.share(word.value, "how many changes there were")
    deadline = time.monotonic() + (15 if number else 1)         # what hasn't happened is looked for a second long
    while time.monotonic() < deadline and word.value < max(1, number):
        assert is_changed or store.own_name("u") == "u" and not catalog.has(held("u"))
        time.sleep(0.001)
    assert word.value == number == is_changed and store.own_name("u") == ("t" if is_changed else "u")
    ranks.barrier("all have looked")
    if ranks.rank == 0:
        store.alias("t", "w")
    ranks.barrier("it works again")
    assert store.tags() == (["t", "u", "w"] if is_changed else ["t", "w"])
    ranks.barrier("all have looked again")
    if ranks.rank == 1:
        store.create("u2") if is_changed else store.create("u")
    store.close()
    """), 2, 60, {"WRP_RANKS_PER_NODE": "1", "WRP_TIMEOUT_S": "20", "WRP_RUNTIME_CONF": str(conf)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("refused") == 1, done.stdout + done.stderr
