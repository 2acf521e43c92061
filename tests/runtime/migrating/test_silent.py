"""A node that is stopped while a container is on its way to it: before, at and behind the point of no return."""

from harness.mpirun import needs_mpirun, run_python

pytestmark = needs_mpirun
_SCRIPT = """
import os, signal, sys, threading, time
from wrp.comm.ranks import run
from wrp.errors import WrpError
from wrp.runtime import modules
from wrp.runtime.config import load
from wrp.runtime.migrating import codes, destination
from wrp.runtime.runtime import Runtime

class Count:
    methods = {10: "add"}
    def __init__(self, pool_name):
        self.sum = 0
    def add(self, number):
        self.sum += number
        return self.sum
    def save(self):
        return b"%d" % self.sum
    def load(self, state):
        self.sum = int(state)

modules.register("count", Count)
stops = [STOPS]

def stopping(method, when):
    whole = destination.Arriving.serve
    async def serve(self, slot, asked, args):
        mine = asked == method and stops
        if mine and when == "before":
            stops.pop()
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)     # this thread stops here; one for the process may stop it later
        coded = await whole(self, slot, asked, args)
        if mine and when == "behind":
            stops.pop()
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)     # this thread stops here; one for the process may stop it later
        return coded
    destination.Arriving.serve = serve

def main(ranks):
    method, when = METHOD
    if ranks.rank == 1:
        stopping(method, when)
    pids = ranks.gather(os.getpid(), "pids")
    with Runtime(ranks, load()) as runtime:
        pool = runtime.pool("counts", "count")
        ranks.barrier("the pool is there")
        values, unknown, over, answered = [], [], threading.Event(), threading.Event()
        if ranks.rank == 0:
            def call():
                while not over.is_set():
                    reply = pool.call(10, 1, query="direct_id:0")
                    if reply.code == -1000:         # on its way to a silent node: it may have run, once
                        unknown.append(reply)
                        continue
                    assert reply.code == 0, reply
                    values.append(reply.values[0])
            def revive():
                while open(f"/proc/{pids[1]}/stat").read().rpartition(")")[2].split()[0] != "T":
                    time.sleep(0.05)
                answered.wait(20 if method == codes.LOAD else 7)       # well beyond net_timeout; what has to take over answers when it's revived
                os.kill(pids[1], signal.SIGCONT)
            caller, reviver = threading.Thread(target=call, daemon=True), threading.Thread(target=revive, daemon=True)
            caller.start()
            reviver.start()
            try:
                pool.migrate(0, 1)
                print("moved", flush=True)
            except WrpError as error:
                print("stays:", error, flush=True)
            answered.set()
            reviver.join()
            time.sleep(1)
            over.set()
            caller.join()
            total = pool.call(10, 0, query="direct_id:0").values[0]
            assert len(set(values)) == len(values) and set(values) <= set(range(1, total + 1)), values[-5:]
            assert total - len(values) <= len(unknown) and total > 10, (total, values[-5:], unknown)
            pool.migrate(0, 0), pool.migrate(0, 1), pool.migrate(0, 0)
            assert pool.call(10, 0, query="direct_id:0").values[0] == total
            print("exact", flush=True)
        ranks.barrier("all is well")

sys.exit(run(main))
"""


def run(method, when, tmp_path):
    conf = tmp_path / "c.yaml"
    conf.write_text("runtime: {timeout_s: 25, segment_capacity: 32m}\nnetworking: {net_timeout: 3}\n")
    code = _SCRIPT.replace("METHOD", f"(codes.{method}, {when!r})").replace("STOPS", "1")
    done = run_python(code, 2, env={"WRP_RANKS_PER_NODE": "1", "WRP_RUNTIME_CONF": str(conf), "WRP_TIMEOUT_S": "25"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_it_falls_silent_before(tmp_path):
    moved, exact = run("LOAD", "before", tmp_path)
    assert moved == "stays: container 0 of pool 'counts' can't go to node 1, and is where it was: the bytes didn't get there: see whether that node answers"
    assert exact == "exact"


def test_it_falls_silent_when_it_is_to_take_over(tmp_path):
    assert run("COMMIT", "before", tmp_path) == ["moved", "exact"]


def test_it_falls_silent_when_it_has_taken_over(tmp_path):
    assert run("COMMIT", "behind", tmp_path) == ["moved", "exact"]
