"""Closing a store, or the runtime below it, while other threads call it: they are told, and no memory goes below them."""
import subprocess
import sys

import pytest

_HEAD = """
import sys, threading, time
from wrp.comm.ranks.solo import Solo
from wrp.cte import Store
from wrp.cte.client import Client
from wrp.errors import WrpError
from wrp.runtime import admin
from wrp.runtime.config import Config
from wrp.runtime.runtime import Runtime

def beside(close, *calls):
    told = []
    def work(call):
        try:
            while True:
                call()
        except WrpError as error:
            told.append(str(error))
    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "it still runs"
    assert len(told) == len(calls) and all("was closed" in sentence for sentence in told), told
"""
_CASES = {
    "runtime": """
runtime = Runtime(Solo(), Config.default())
pool = runtime.pool("admin", "admin")
beside(runtime.close, *[lambda: pool.call(admin.MONITOR, 0)] * 2, lambda: pool.submit_many(admin.MONITOR, [(0,)] * 64).wait())
""",
    "store": """
for nbytes in (3000, 300_000):
    store = Store.open(None, Solo())
    def call():
        store.put("t", "b", b"x" * nbytes)
        store.get("t", "b")
        store.append("t", "grows", b"x")
    beside(store.close, call, call)
""",
    "futures": """
for _ in range(5):
    with Store.open(None, Solo()) as store:
        client = Client(store)
        client.get_or_create_tag("t")
        puts = [client.later.put_blob("t", f"b{n}", n % 3, None, b"x" * 30_000) for n in range(60)]
""",
    "another": """
from wrp.comm import inside, mapping
told = []
def waits(store):
    try:
        store.wait("t", "never", timeout_s=60)
    except WrpError as error:
        told.append(str(error))
one, other = Store.open(None, Solo()), Store.open(None, Solo())
threads = [threading.Thread(target=waits, args=(store,)) for store in (one, other)]
for thread in threads:
    thread.start()
time.sleep(0.5)
other.close()
threads[1].join(20)
assert told and threads[0].is_alive() and not mapping._kept, (told, mapping._kept)
one.close()
threads[0].join(20)
assert len(told) == 2 and not mapping._kept, (told, mapping._kept)
""",
    "flushes": """
import tempfile
for turn in range(5):
    with tempfile.TemporaryDirectory() as folder:
        store, promised = Store.open(folder, Solo()), {"first"}
        store.put("t", "first", b"x")
        store.flush()
        def flushes(first):
            numbers = iter(range(first, 1 << 20, 2))
            def call():
                name = str(next(numbers))
                store.put("t", name, b"x" * 100)
                store.flush()
                promised.add(name)
            return call
        beside(store.close, flushes(0), flushes(1))
        with Store.open(folder, Solo(), write=False) as store:
            lost = promised - set(store.list("t"))
        assert not lost, lost
""",
    "descriptors": """
import os, tempfile
from wrp.comm import inside
from wrp.cte.direct.direct import Direct
from wrp.cte.tiers import space
inside.wait_out.__defaults__, space._REMEMBERED_S = (0.2,), 60
with tempfile.TemporaryDirectory() as folder:
    where = os.path.join(folder, "conf.yaml")
    with open(where, "w") as file:
        file.write("storage: [{path: 'ram::test', bdev_type: ram, capacity_limit: 2m}, {path: data, bdev_type: file, capacity_limit: 64m}]")
    store = Store.open(os.path.join(folder, "store"), Solo(), config=where)
    for number in range(4):
        store.put("t", str(number), bytes(1 << 20))
    leased, goes_on = threading.Event(), threading.Event()
    def lines(frame, event, arg):
        if "descriptor" not in frame.f_locals:
            return lines
        leased.set()
        assert goes_on.wait(60)
        sys.settrace(None)
    def puts():
        sys.settrace(lambda frame, event, arg: lines if frame.f_code is Direct._put_file.__code__ else None)
        try:
            store.put("t", "late", b"x" * (1 << 20))
        except WrpError:
            pass
    thread = threading.Thread(target=puts)
    thread.start()
    assert leased.wait(60)
    store.close()
    others = [open(os.path.join(folder, str(number)), "wb") for number in range(40)]
    goes_on.set()
    thread.join(60)
    assert not any(os.path.getsize(file.name) for file in others)
""",
    "reservation": """
store = Store.open(None, Solo())
reserved = store.reserve("t", "r", 1 << 20)
store.close()
try:
    reserved.commit()
    sys.exit("it was committed")
except WrpError as error:
    assert "was closed" in str(error)
reserved.abandon()
""",
}


@pytest.mark.parametrize("case", _CASES)
def test_threads_that_call_meanwhile_are_told(case):
    done = subprocess.run([sys.executable, "-c", _HEAD + _CASES[case]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
