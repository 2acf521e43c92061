"""Words and bytes that are lost on a container's way: it is in one place all the same, with what it had."""

from harness.mpirun import needs_mpirun, run_python

pytestmark = needs_mpirun
_SCRIPT = """
import sys, threading, time
from wrp.comm.ranks import run
from wrp.errors import WrpError
from wrp.runtime import modules, tasks
from wrp.runtime.config import load
from wrp.runtime.migrating import codes, destination, source
from wrp.runtime.migrating.codes import Coded
from wrp.runtime.runtime import Runtime
from wrp.runtime.waiting.coroutines import sleep

class Count:
    methods = {10: "add", 11: "where"}
    def __init__(self, pool_name):
        self.sum = 0
    def add(self, number):
        self.sum += number
        return self.sum
    def where(self):
        return node
    def save(self):
        return b"%d" % self.sum
    def load(self, state):
        self.sum = int(state)

modules.register("count", Count)

def losing():
    whole, bytes_lost, words_lost = destination.Arriving.serve, [1], set()
    async def serve(self, slot, asked, args):
        if asked == codes.PIECE and bytes_lost:
            bytes_lost.pop()
            self._node.segment.buffer[self._now.offset] ^= 1
        coded = await whole(self, slot, asked, args)
        if asked == codes.COMMIT and args[0] not in words_lost:
            words_lost.add(args[0])
            return Coded(tasks.CANCELLED)       # it was done, and nobody can tell by this
        return coded
    destination.Arriving.serve = serve

def hearing_late():
    whole = destination.Arriving.serve
    async def serve(self, slot, asked, args):
        if asked == codes.ROUTE and self._loop.made[slot].pool.name == "told":
            await sleep(2)
        return await whole(self, slot, asked, args)
    destination.Arriving.serve = serve

def other_bytes_come(counts):
    try:
        counts.migrate(0, 1)
    except WrpError as error:
        print(error, flush=True)

def its_deadline_is_over(counts):
    source._AGAIN_S = 3.0
    reply = counts.submit(codes.MIGRATE, 1, 10_000, query="direct_id:0", deadline_s=1.5).wait()
    print(reply.code, counts.call(11, query="direct_id:0").values[0], counts.call(10, 1, query="direct_id:0").values[0], flush=True)
    counts.migrate(0, 0)

def another_one_comes(counts, others):
    source._AGAIN_S = 1.5
    moving = threading.Thread(target=counts.migrate, args=(0, 1))
    moving.start()
    time.sleep(0.5)
    others.migrate(0, 1)
    moving.join()
    for pool in (counts, others):
        print(pool.call(11, query="direct_id:0").values[0], pool.call(10, 1, query="direct_id:0").values[0], flush=True)

def it_is_cancelled_while_others_are_told(told):
    future = told.submit(codes.MIGRATE, 1, 10_000, query="direct_id:0")
    while told.call(11, query="direct_id:0").values[0] != 1:
        time.sleep(0.02)
    future.cancel()
    print(future.wait().code, told.call(11, query="direct_id:0").values[0], told.call(10, 5, query="direct_id:0").values[0], flush=True)

def main(ranks):
    global node
    node = ranks.node
    if node == 1:
        losing()
    if node == 2:
        hearing_late()
    with Runtime(ranks, load()) as runtime:
        counts, others, told = (runtime.pool(name, "count") for name in ("counts", "others", "told"))
        ranks.barrier("the pools are there")
        if node == 0:
            counts.call(10, 41, query="direct_id:0")
            other_bytes_come(counts)
            its_deadline_is_over(counts)
            another_one_comes(counts, others)
            it_is_cancelled_while_others_are_told(told)
        ranks.barrier("all is well")

sys.exit(run(main))
"""


def test_a_container_is_in_one_place_whatever_is_lost(tmp_path):
    conf = tmp_path / "c.yaml"
    conf.write_text("runtime: {timeout_s: 20, segment_capacity: 32m}\nnetworking: {net_timeout: 10}\n")
    done = run_python(_SCRIPT, 3, env={"WRP_RANKS_PER_NODE": "1", "WRP_RUNTIME_CONF": str(conf), "WRP_TIMEOUT_S": "20"})
    assert done.returncode == 0, done.stdout + done.stderr
    torn, cancelled, first, second, told = done.stdout.splitlines()
    assert torn == "container 0 of pool 'counts' can't go to node 1, and is where it was: the bytes didn't get there: see whether that node answers"
    assert (cancelled, first, second) == ("0 1 42", "1 43", "1 1")
    assert told == "0 1 5"
