"""wrp_cte_core_ext as scripts of the reference use it: in one plain process, beside wrp_cee, after a restart, under mpirun."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.daemons import Running
from harness.mpirun import job_environment, needs_mpirun, run_python
from wrp.cte import Store

SCRIPT = r"""
from datetime import timedelta
import wrp_cte_core_ext as cte
assert cte.chimaera_init(cte.ChimaeraMode.kClient, True) and cte.initialize_cte("", cte.PoolQuery.Dynamic())
client = cte.get_cte_client()
tag = cte.Tag("documents")
binary = bytes(range(256))
tag.PutBlob("blob", b"Hello, World!"), tag.PutBlob("binary", binary), tag.PutBlob("text", "grüße")
tag.PutBlob("blob", b"there", 7)
assert tag.GetBlobSize("blob") == 13 and tag.GetBlob("blob", 13, 0) == b"Hello, there!" and tag.GetBlob("binary", 256) == binary
assert tag.GetBlob("blob", tag.GetBlobSize("blob")).decode("utf-8").startswith("Hello")
assert tag.GetBlob("text", 7) == "grüße".encode() and tag.GetBlobScore("blob") == 1.0
assert tag.GetContainedBlobs() == ["binary", "blob", "text"]
tag_id = tag.GetTagId()
assert cte.Tag(tag_id).GetBlob("binary", 2, 255 - 1) == b"\xfe\xff" and not tag_id.IsNull() and tag_id.ToU64() == tag_id.major_ << 32 | tag_id.minor_
assert tag_id == cte.TagId(tag_id.major_, tag_id.minor_) and cte.UniqueId.GetNull().IsNull() and cte.BlobId() == cte.PoolId(0, 0) and {tag_id: 1}[tag_id]
assert client.TagQuery("doc.*") == ["documents"] and client.TagQuery("doc", 0, cte.PoolQuery.Broadcast()) == []
assert client.BlobQuery("documents", "b.*", 0, cte.PoolQuery.Local()) == [("documents", "binary"), ("documents", "blob")]
assert client.BlobQuery(".*", ".*", 1, cte.PoolQuery.Dynamic(5)) == [("documents", "binary")]
assert client.RegisterTarget("ram", cte.BdevType.kRam, 1 << 30) == 0 and client.RegisterTarget("new", cte.BdevType.kFile, 1, cte.PoolQuery.Local(), cte.PoolId(700, 0)) == 1
assert client.RegisterTarget("more", cte.BdevType.kRam, 1 << 20) == 0 and client.ListTargets()[-1] == "more"
assert client.UnregisterTarget("more") == 0 and client.UnregisterTarget("more") == 1 and "more" not in client.ListTargets()
assert client.ReorganizeBlob(tag_id, "binary", 0.5) is True and client.ReorganizeBlob(tag_id, "no", 0.5) is False and tag.GetBlobScore("binary") == 0.5
tag.ReorganizeBlob("blob", 0.25)
assert client.DelBlob(tag_id, "text") is True and client.DelBlob(tag_id, "text") is False
log = client.PollTelemetryLog(0)
assert [entry.logical_time_ for entry in client.PollTelemetryLog(0, cte.PoolQuery.Broadcast())] == [entry.logical_time_ for entry in log]
alias = client.GetOrCreateTagAlias(tag_id, "papers/1")
assert alias == tag_id and client.GetNumAliases(tag_id) == 2 and client.GetTagName(tag_id) == "documents" and cte.Tag("papers/1").GetTagId() == tag_id
more = cte.Tag("papers/2")
more.PutSegments("b", [(0, b"words"), (9, "of one")])
assert more.GetSegments("b", [(9, 2), (4, 6)]) == [b"of", b"s\0\0\0\0o"] and client.GetTagSize(more.GetTagId()) == 15
client.MultiPutBlob(more.GetTagId(), ["c", "d"], [b"more words", "nöne"]), client.TruncateBlob(more.GetTagId(), "d", 2)
assert client.GetResidency(more.GetTagId(), "d", 0, 2) and not client.GetResidency(more.GetTagId(), "d", 1, 2)
found = client.SemanticSearch("papers/2", ".*", "words")
assert {result.blob_name for result in found} == {"b", "c"} and found[0].score >= found[1].score > 0 and found[0].tag_id == more.GetTagId()
assert found == client.SemanticSearch(tag_regex="papers/2", blob_regex=".", query_text="words", k=0) and len(client.SemanticSearch(".*", ".*", "words", 1)) == 1 and client.SemanticSearch(".*", "d", "words") == []
changes = client.TemporalSearch("papers/2", ".*")
assert [result.blob_name for result in changes] == ["b", "c", "d"] and changes[0].tag_id == more.GetTagId()
between = changes[1].last_modified, changes[2].last_modified
assert client.TemporalSearch("papers/2", ".*", *between) == changes[1:] and client.TemporalSearch(".*", "[cd]", *between, max_entries=1) == changes[1:2]
assert client.GetCapacity()[0] > client.GetCapacity()[1] > 0
assert client.Evict("ram", 0) >= 0 and client.RenameTag(more.GetTagId(), "books/2") == more.GetTagId()
client.DelTag("papers", True), client.DelTag(more.GetTagId())
assert client.TagQuery(".*") == ["documents"]
puts = [entry for entry in log if str(entry.op_) == "CteOp.kPutBlob"]
assert str(cte.BdevType.kRam) == "BdevType.kRam" and str(cte.ChimaeraMode.kClient) == "ChimaeraMode.kClient"
assert [(entry.off_, entry.size_) for entry in puts] == [(0, 13), (0, 256), (0, 7), (7, 5)] and all(entry.tag_id_ == tag_id for entry in puts)
assert [entry.logical_time_ for entry in log] == sorted(entry.logical_time_ for entry in log) and puts[0].mod_time_.total_seconds() > 10**9 and puts[0].read_time_ == timedelta()
assert puts[1].mod_time_ - puts[0].mod_time_ < timedelta(minutes=1)
try:
    tag.GetBlob("blob", 99)
except RuntimeError as error:
    print("refused:", error)
import wrp_cee
print(wrp_cee.ContextInterface().context_query("documents", ".*"), tag.GetBlob("blob", 2))
"""


LATER = r"""
import asyncio
import clio_cte_core_ext as cte
assert cte.clio_init(cte.RuntimeMode.kClient)
client = cte.Client(cte.PoolId(512, 0))
made = client.AsyncGetOrCreateTag("t")
tag_id = made.result()
assert isinstance(made, cte.Future) and made.done() and made.wait() == 0 and tag_id == cte.Tag(tag_name="t").GetTagId() == cte.Tag(tag_id=tag_id).GetTagId()
puts = [client.AsyncPutBlob(tag_id, f"b{number}", b"word %d" % number if number % 2 else f"word {number}") for number in range(20)]
assert [put.wait(max_sec=20) for put in puts] == [0] * 20 and puts[0].result() is None
assert client.AsyncGetBlob(tag_id, "b7", 3, 2).result(max_sec=20) == b"rd " and client.AsyncGetBlobSize(tag_id, "b7").result() == 6
assert client.AsyncGetContainedBlobs(tag_id).result() == client.AsyncTagQuery("none").result() + [f"b{number}" for number in range(20)]
assert client.AsyncTagQuery("t", 0, cte.PoolQuery.Local(parallelism=4)).result() == ["t"] and client.AsyncBlobQuery("t", "b1.", 2).result() == [("t", "b10"), ("t", "b11")]
assert client.AsyncReorganizeBlob(tag_id, "b1", 0.5).wait() == 0 and client.AsyncReorganizeBlob(tag_id, "none", 0.5).wait() == 3
assert client.AsyncDelBlob(tag_id, "b0").wait() == 0 and client.AsyncDelBlob(tag_id, "b0").wait() == 1 and client.AsyncRegisterTarget("ram", cte.BdevType.kRam, 1).wait() == 0
assert client.AsyncSemanticSearch("t", ".*", "word 7 word").result() == client.SemanticSearch("t", ".*", "word 7 word") != []
assert client.AsyncTemporalSearch("t", "b7").result()[0].blob_name == "b7"
assert client.AsyncPollTelemetryLog(0).result()[0].op_ == cte.CteOp.kGetOrCreateTag and cte.CteTelemetry().size_ == cte.CteTelemetry(cte.CteOp.kGetBlob, 1, 0, tag_id, 2, 3).size_
try:
    client.AsyncGetBlob(tag_id, "none", 1).result()
except KeyError:
    print("no such blob")
async def main():
    assert await client.AsyncGetBlob(tag_id, "b3", 4) == b"word" and await client.AsyncPutBlob(tag_id, "b3", b"new") is None
asyncio.run(main())
for number in range(100):
    assert client.AsyncPutBlobDefer(tag_id, f"d{number}", b"later %d" % number, max_inflight_bytes=1000) == 0
assert client.AsyncGetBlobDefer(tag_id, "d99", 8).result() == b"later 99" and client.AsyncPutBlobDefer(tag_id, "d99", b"!", off=8) == 0
assert client.AwaitPutsUntilSpace(0) == 0 and client.DeferErrorCount() == 0 and cte.Tag("t").GetBlob(blob_name="d99", data_size=9) == b"later 99!"
client.AsyncPutBlobDefer(tag_id, "last", "stored at the end")
"""


def run(code, folder, **env):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=job_environment({"WRP_STORE": str(folder), **env}))


def test_a_script_of_the_reference(tmp_path):
    done = run(SCRIPT, tmp_path / "store")
    assert done.returncode == 0, done.stderr
    refused, shown = done.stdout.splitlines()
    assert "beyond" in refused and shown == "['binary', 'blob'] b'He'"
    again = "import clio_cte_core_ext as cte\ntag = cte.Tag('documents')\nprint(tag.GetContainedBlobs(), tag.GetBlob('binary', 3), tag.GetTagId())"
    first = run(again, tmp_path / "store")
    assert first.stdout.startswith("['binary', 'blob'] b'\\x00\\x01\\x02' UniqueId("), first.stderr
    assert run(again, tmp_path / "store").stdout == first.stdout            # the id outlives the process


@pytest.fixture
def daemon(tmp_path):
    """Name of a daemon with a store as no key changes it."""
    (tmp_path / "served.yaml").write_text(f"compose: [{{mod_name: wrp_cte_core, pool_name: cte, folder: {tmp_path / 'store'}}}]")
    running = Running(f"facade{os.getpid()}", tmp_path / "served.yaml", 0)
    yield running.name
    assert running.end() == 0


def test_the_same_script_beside_a_daemon_uses_its_store(daemon, tmp_path):
    env = {"WRP_RUNTIME_NAME": daemon, "WRP_STORE": ""}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, env=job_environment(env), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "['binary', 'blob'] b'He'"
    with Store.attach(daemon) as store:
        assert store.list("documents") == ["binary", "blob"]
    # and the other facade, with what is made in one step
    (tmp_path / "raw").write_bytes(bytes(3 << 20))
    code = f"""
import wrp_cee
with wrp_cee.ContextInterface() as interface:
    assert interface.context_bundle([wrp_cee.AssimilationCtx(src="file::{tmp_path / 'raw'}", dst="iowarp::raw", format="binary")]) == 0
    assert interface.context_query("raw", ".*") == ["chunk_0", "chunk_1", "chunk_2", "description"]
    assert interface.context_splice("spliced", "documents", ".*") == 0 and interface.context_retrieve("spliced", "bl.*") == [b"Hello, there!"]
    assert interface.context_destroy(["spliced"]) == 0 and interface.context_destroy(["none"]) == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=job_environment(env), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([sys.executable, "-m", "wrp.cee.cli", "ls", "--store", f"runtime:{daemon}"], capture_output=True, text=True, timeout=60, env=job_environment())
    assert "documents" in listed.stdout and "raw" in listed.stdout, listed.stderr
    (tmp_path / "job.yaml").write_text(f"transfers: [{{src: 'file::{tmp_path / 'raw'}', dst: 'iowarp::again', format: binary}}]")
    taken = subprocess.run([sys.executable, "-m", "wrp.cae.cli", "job.yaml", "--store", f"runtime:{daemon}"], capture_output=True, text=True, timeout=60, env=job_environment(), cwd=tmp_path)
    assert taken.returncode == 0 and "again" in taken.stdout, taken.stderr
    with Store.attach(daemon) as store:
        assert store.tag_size("again") > 3 << 20
    assert not (tmp_path / "wrp-store").exists()
    own = run("import wrp_cte_core_ext as cte\ncte.Tag('mine')", tmp_path / "mine", WRP_RUNTIME_NAME=daemon)       # a folder that is named goes first
    assert own.returncode == 0 and (tmp_path / "mine").exists(), own.stderr


def test_what_python_ends_with_is_flushed_before_the_daemon_is_left(daemon, tmp_path):
    """Whoever imports this floor first has its store's own end registered later; another program may have the place of one that has left."""
    code = f"""
from wrp.cee.opening import borrow
store = borrow("runtime:{daemon}").writing()
store.put("left", "open", b"x")
flush = store.flush
def flushed():
    print("attached" if store._node._ending.alive else "left", flush=True)
    flush()
store.flush = flushed
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=job_environment(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "attached\n", "")


def test_calls_that_are_answered_later(tmp_path):
    done = run(LATER, tmp_path / "store")
    assert done.returncode == 0 and done.stdout == "no such blob\n", done.stderr
    assert run("import clio_cte_core_ext as cte\nprint(cte.Tag('t').GetBlob('last', 17))", tmp_path / "store").stdout == "b'stored at the end'\n"


def test_deferred_puts_are_stored_before_python_closes_their_store_though_another_was_asked_for_later(tmp_path):
    code = f"""
import wrp_cee, wrp_cte_core_ext as cte
from wrp.cee import opening
tag, client = cte.Tag("t").GetTagId(), cte.get_cte_client()
client.AsyncPutBlobDefer(tag, "b", b"x")
assert wrp_cee.ContextInterface(store={str(tmp_path / "other")!r}).context_query("t", ".*") == []
from wrp.cee import asynchronous
for owner in (asynchronous._deferring[1], opening._shared[{str(tmp_path / "store")!r}]):
    owner.close = lambda owner=owner, close=owner.close: print(type(owner).__name__, flush=True) or close()
"""
    done = run(code, tmp_path / "store")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Deferred\nShared\n", "")


def test_deferred_puts_that_find_no_room_are_told_when_python_ends(tmp_path):
    (tmp_path / "conf.yaml").write_text("storage: [{path: 'ram::x', bdev_type: ram, capacity_limit: 4m}, {path: data, bdev_type: file, capacity_limit: 4m}]")
    code = "import wrp_cte_core_ext as cte\ntag = cte.Tag('t').GetTagId()\nfor number in range(3): cte.get_cte_client().AsyncPutBlobDefer(tag, f'b{number}', bytes(number + 1 << 21))"
    done = run(code, tmp_path / "store", WRP_RUNTIME_CONF=str(tmp_path / "conf.yaml"))
    first, *others = done.stderr.splitlines()
    assert done.returncode == 0 and first.startswith("wrp: 1 deferred put could not be stored, the first of blob 'b2' in tag 't': "), done.stderr
    assert first.endswith("; AwaitPutsUntilSpace(0) and DeferErrorCount() tell in time") and all(line.startswith("wrp: ") for line in others)


def test_the_configuration_counts(tmp_path):
    (tmp_path / "conf.yaml").write_text("storage: [{path: 'ram::x', bdev_type: ram, capacity_limit: 4m}, {path: data, bdev_type: file, capacity_limit: 4m}]")
    code = f"""
import wrp_cte_core_ext as cte
assert cte.chimaera_init(cte.ChimaeraMode.kClient, True)            # with no configuration: the next call opens the store anew
assert cte.initialize_cte({str(tmp_path / "conf.yaml")!r}, cte.PoolQuery.Dynamic())
assert cte.initialize_cte({str(tmp_path / "conf.yaml")!r}) and cte.initialize_cte()
try:
    cte.Tag("t").PutBlob("b", bytes(9 << 20))
except MemoryError:
    print("no room")
open({str(tmp_path / "other.yaml")!r}, "w").write("")
try:
    cte.initialize_cte({str(tmp_path / "other.yaml")!r})
except ValueError as error:
    print(error)
"""
    done = run(code, tmp_path / "store")
    assert done.stdout.startswith("no room\nthe store is in use with another configuration"), done.stderr + done.stdout


@needs_mpirun
def test_under_mpirun(tmp_path):
    code = """
import wrp_cte_core_ext as cte
from wrp.comm.ranks import world
cte.chimaera_init(cte.ChimaeraMode.kClient)
ranks = world()
cte.Tag("t").PutBlob(f"of{ranks.rank}", bytes([ranks.rank, 255]))
ranks.barrier("everybody has put")
tag = cte.Tag("t")
assert [tag.GetBlob(name, 2)[0] for name in tag.GetContainedBlobs()] == list(range(ranks.size))
assert len(set(ranks.gather(tag.GetTagId().ToU64(), "ids"))) == 1
"""
    done = run_python(code, 2, env={"WRP_STORE": str(tmp_path / "store")})
    assert done.returncode == 0, done.stderr


def test_wrong_arguments_are_refused_in_the_store_s_own_words(tmp_path):
    code = f"""
import sys
from pathlib import Path
sys.path.append({str(Path(__file__).parents[1])!r})
import inspect
import wrp_cte_core_ext as cte
from cte.proof.wrong import trouble_of, wrong_calls_of
tag, client = cte.Tag("t"), cte.get_cte_client()
tag.PutBlob("b", b"abc")
right = dict(tag_id=tag.GetTagId(), pool_query=cte.PoolQuery.Local(), target_query=cte.PoolQuery.Local(), bdev_type=cte.BdevType.kRam, rows=[b"a"])
for thing in (client, tag):
    for name, call in inspect.getmembers(thing, inspect.ismethod):
        given = {{key: value for key, value in right.items() if key in inspect.signature(call).parameters}}
        for label, function, arguments, _ in wrong_calls_of(call, **given) if not name.startswith("_") else ():
            if "(data='text')" not in label and "pool_query" not in label:
                found = trouble_of(label, function, arguments, False)
                assert found is None, found
            if client.TagQuery("t") != ["t"] or not tag.GetContainedBlobs():
                tag = cte.Tag("t")
                tag.PutBlob("b", b"abc")
                right["tag_id"] = tag.GetTagId()
for data in (None, 5, [1]):
    try:
        tag.PutBlob("b", data)
    except ValueError as error:
        print(error)
"""
    done = run(code, tmp_path / "store")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3, done.stderr
