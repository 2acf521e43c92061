"""kill -9 of one node's rank, or of all, while a job of several nodes works: `python tests/cte/proof/nodes.py --minutes 10` for long runs.

Every rank changes blobs of its own, at home on all nodes, and writes down what it begins and ends; another job with another number of ranks opens the folder then and checks it.
"""

import os
import random
import shutil
import signal
import sys
import threading

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", ".."))

from cte.proof.calls import Calls
from cte.proof.script import main, until
from harness.mpirun import mpirun
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.runtime.config import load

COUNT, BLOBS, SIZES = 60, 4, (0, 300, 50_000, 400_000)
_KINDS = ("put", "put", "segments", "delete", "flush", "checkpoint", "batch")
_CONF = """
storage: [{path: "ram::proof", bdev_type: ram, capacity_limit: 48m}, {path: data, bdev_type: file, capacity_limit: 96m}]
networking: {net_timeout: 5}
targets: {replicas: %d}
"""
_WAYS = ("killed", "torn", "killed behind it", "one at a time", "all at a time")
_CALLS = 100                    # that reach the disk, of one rank in a workload, about


def operations(seed, rank):
    """[(kind, name of a blob, bytes)] of a rank: batches, which are collective, are those of all ranks."""
    kinds, made, found = random.Random(seed), random.Random(seed * 100 + rank), []
    for number in range(COUNT):
        kind = kinds.choice(_KINDS)
        if kind != "batch":
            kind = made.choice(_KINDS[:-1])
        found.append((kind, f"r{rank}.{made.randrange(BLOBS)}", b"%d/%d;" % (rank, number) + bytes([number]) * made.choice(SIZES)))
    return found


def spliced(old, data):
    """A blob after `put_segments` of all of `data`."""
    return data + (old or b"")[len(data):]


# the job that is killed

def work(folder, conf, seed, victim, way, when):
    """On every rank: do the operations; the victim kills itself, or all, at the Nth call that reaches the disk, or after `when` seconds."""
    ranks = world()
    told = os.open(f"{folder}.told.{ranks.rank}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    is_victim, is_timed = ranks.rank == victim, way.endswith("at a time")
    pids = ranks.gather(os.getpid(), "pids")
    with Calls(int(when) if is_victim and not is_timed else 0, way):
        store = Store.open(folder, ranks, load(conf))
        if is_victim and is_timed:
            threading.Timer(when, lambda: [os.kill(pid, signal.SIGKILL) for pid in (pids if way.startswith("all") else []) + [os.getpid()]]).start()
        for number, (kind, blob, data) in enumerate(operations(seed, ranks.rank)):
            os.write(told, b"begin %d\n" % number)
            do(store, ranks.rank, kind, blob, data)
            os.write(told, b"end %d\n" % number)
    os.kill(os.getpid(), signal.SIGKILL)            # the call didn't come


def do(store, rank, kind, blob, data):
    if kind == "put":
        store.put("t", blob, data)
    elif kind == "segments":
        half = len(data) // 2
        store.put_segments("t", blob, [(half, data[half:]), (0, data[:half])])
    elif kind == "delete":
        if store.exists("t", blob):
            store.delete("t", blob)
    elif kind == "flush":
        store.flush()
    elif kind == "checkpoint":
        if store.exists("t") and not store.exists(f"then{rank}"):
            store.checkpoint(f"then{rank}", "t")
    else:
        with store.batch("all ranks") as batch:
            batch.put("batch", f"r{rank}", data)


# the job that looks

def check(folder, conf, seed, before):
    """On every rank, of which the first looks for all that there were `before`: AssertionError where a promise isn't kept."""
    ranks = world()
    with Store.open(folder, ranks, load(conf)) as store:
        if ranks.rank == 0:
            _check(store, folder, seed, before)
            store.put("after", "it", b"works")
        store.flush_all()


def _check(store, folder, seed, before):
    batches, done = [], -1
    for rank in range(before):
        now, allowed, since = {}, {}, False
        for what, number in _told(f"{folder}.told.{rank}"):
            kind, blob, data = operations(seed, rank)[number]
            if kind in ("put", "segments", "delete"):
                value = None if kind == "delete" else data if kind == "put" else spliced(now.get(blob), data)
                if what == "begin":
                    allowed.setdefault(blob, [None]).append(value)
                else:
                    now[blob] = value
            elif kind == "flush" and what == "end":
                allowed = {each: [now.get(each)] for each in allowed}
                since = since or "made" in now
            elif kind == "checkpoint" and what == "end" and any(value is not None for value in now.values()):
                now["made"] = b""
            elif kind == "batch" and what == "end":
                done = max(done, number)
        then = f"then{rank}"
        assert store.exists(then) or not since, f"{then} was flushed, and is lost"
        for blob, values in allowed.items():
            found = store.get("t", blob) if store.exists("t", blob) else None
            assert found in values, f"{blob} holds {_short(found)}, allowed: {list(map(_short, values))}"
            assert not store.exists(then) or found is None or store.get(then, blob) == found, f"{blob} is another one in {then}"
        batches.append(store.get("batch", f"r{rank}") if store.exists("batch", f"r{rank}") else None)
    of = {None if found is None else next(number for number in range(COUNT) if found == operations(seed, rank)[number][2]) for rank, found in enumerate(batches)}
    assert len(of) == 1, f"parts of batches {of} are there"
    assert done < 0 or next(iter(of)) is not None and next(iter(of)) >= done, f"batch {done} was committed, there is {of}"


def _told(path):
    """[("begin" or "end", number)] that a rank has written down; none where it hasn't come so far."""
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [(what, int(number)) for what, number in (line.split() for line in file)]


def _short(value):
    return None if value is None else f"{len(value)} bytes {value[:8]!r}"


def prove(root, made, minutes):
    """Kill jobs for so many minutes."""
    kills = 0
    for _ in until(minutes):
        folder, seed, ranks, others = os.path.join(root, f"store{kills}"), made.randrange(1 << 30), made.choice((2, 3)), made.choice((1, 2, 3))
        way, replicas, conf = made.choice(_WAYS), made.choice((1, 2)), os.path.join(root, "conf.yaml")
        _configure(conf, replicas)
        when = made.uniform(0, 2) if way.endswith("at a time") else made.randrange(1, _CALLS)
        what = ["work", folder, conf, seed, made.randrange(ranks), way, when]
        done = _job(ranks, what)
        assert done.returncode and "Error" not in done.stderr.replace("MPI_ERR", ""), f"{what}: {done.stderr}"
        _configure(conf, min(replicas, others))
        done = _job(others, ["check", folder, conf, seed, ranks])
        assert not done.returncode, f"{what} of {ranks} ranks: {done.stderr}"
        kills += 1
        shutil.rmtree(folder, ignore_errors=True)
    return f"{kills} jobs of several nodes killed; every promise kept"


def _configure(path, replicas):
    with open(path, "w", encoding="utf-8") as file:
        file.write(_CONF % replicas)


def _job(ranks, arguments):
    return mpirun(ranks, [sys.executable, __file__, *arguments], 80, {"WRP_RANKS_PER_NODE": "1", "WRP_TIMEOUT_S": "40"})


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(*sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6], float(sys.argv[7]))
    elif sys.argv[1:2] == ["check"]:
        check(*sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main(__doc__, prove)
