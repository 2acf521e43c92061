"""daemon.sbatch as a user submits it: a runtime on every node, and programs that attach to it."""

import re
import sys

import pytest

TWO_NODES = ("--nodes=1", "--nodes=2")
PROGRAM = """
import os, sys
from wrp.runtime import bdev
from wrp.runtime.daemon import attach
with attach() as runtime:
    free = runtime.pool("ram::shared", "bdev", capacity=1 << 20).call(bdev.GET_STATS).values[0]
    print(f"task {os.environ.get('SLURM_PROCID', '?')}: node {runtime.about.node} of {runtime.about.nodes}, {free} bytes", flush=True)
sys.exit(int(sys.argv[1]))
"""
pytestmark = pytest.mark.slurm


def submit(job, code, edits=()):
    (job.folder / "program.py").write_text(PROGRAM)
    return job.finish("daemon.sbatch", sys.executable, "program.py", code, edits=[job.known, *edits])


def left(job, log, node):
    """Names that the runtime left in a node's shared memory."""
    name = re.search(r"name (wrp-\d+)", log)[1]
    return job.run("find", "/dev/shm", "-name", f"{name}*", node=node).stdout


def test_programs_attach_on_every_node(two_nodes, job):
    state, code, log = submit(job, 0, [TWO_NODES, ('    everywhere "$@"\n', '    everywhere "$@" &\n    everywhere "$@"\n    wait\n')])
    assert (state, code) == ("COMPLETED", 0), log
    assert "started: 2 nodes, 2 ranks, name wrp-" in log
    for node in (0, 1):         # two programs, each with two tasks there
        assert log.count(f"node {node} of 2, {1 << 20} bytes") == 4, log
    assert log.count("wrp-runtime: stopped") == 1
    assert left(job, log, "n1") == left(job, log, "n2") == ""


def test_programs_have_the_store_of_the_configuration_that_the_template_names(job):
    (job.folder / "a shelf.yaml").write_text("compose: [{mod_name: wrp_cte_core, pool_name: shelf, storage: [{path: 'ram::shelf', capacity_limit: 8m}]}]\n")
    (job.folder / "program.py").write_text("from wrp.cte import Store\nwith Store.open('runtime:') as store:\n    store.put('t', f'blob {store.ranks.rank}', b'123')\n"
                                           "    store.ranks.barrier('puts')\n    print(store.tag_size('t'), 'bytes', flush=True)\n")
    state, code, log = job.finish("daemon.sbatch", sys.executable, "program.py", edits=[job.known, ("conf=  ", "conf='a shelf.yaml'  ")])
    assert (state, code) == ("COMPLETED", 0) and log.count("6 bytes") == 2, log
    assert left(job, log, job.cluster.nodes[0]) == ""


def test_a_program_that_fails_gives_the_job_its_code(job):
    state, code, log = submit(job, 7)
    assert (state, code) == ("FAILED", 7), log
    assert "wrp-runtime: stopped" in log and "node 0 of 1" in log
    assert left(job, log, job.cluster.nodes[0]) == ""
