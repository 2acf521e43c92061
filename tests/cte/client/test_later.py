"""Calls that are answered later: order of ends, errors kept, back-pressure, batches, await, closing."""

import asyncio
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from wrp.cte.client import Client, Tag
from wrp.errors import NoSuchBlob, UsageError, WaitTimeout


class Gate:
    """A writable buffer's provider: calls that use it wait until it is opened."""

    def __init__(self, client):
        self.entered, self.opened = threading.Event(), threading.Event()
        client.held = self._hold

    def _hold(self):
        self.entered.set()
        assert self.opened.wait(20)
        return "held"


def test_futures_have_results_and_errors(client, tag):
    puts = [client.later.put_blob(tag, f"b{number}", 0, None, bytes([number]) * 100) for number in range(50)]
    assert all(put.result() is None and put.is_complete() and put.get_return_code() == 0 for put in puts)
    gets = [client.later.get_blob(tag, f"b{number}") for number in range(51)]
    assert [get.result()[0] for get in gets[:50]] == list(range(50))
    for _ in range(2):                      # an error stays
        with pytest.raises(NoSuchBlob):
            gets[50].result()
    assert gets[50].get_return_code() == 1 and isinstance(gets[50].error(), NoSuchBlob)


def test_more_calls_than_fit_wait_for_their_turn(open_store):
    store = open_store(memory=True)
    with Client(store, threads=1, depth=2) as client:
        gate = Gate(client)
        held, second = client.later.held(), client.later.tag_query(".*")
        assert gate.entered.wait(20) and not held.is_complete() and not held.wait(0.01)
        with pytest.raises(UsageError):
            held.get_return_code()
        with pytest.raises(WaitTimeout):
            held.result(0.01)
        third = []
        thread = threading.Thread(target=lambda: third.append(client.later.tag_query(".*")))
        thread.start()
        thread.join(0.05)
        assert thread.is_alive() and not third
        gate.opened.set()
        thread.join(20)
        assert held.result() == "held" and second.result() == third[0].result() == ([], 0)


def test_a_batch_is_one_future(client, tag):
    done = client.later.batch([("put_blob", tag, "a", 0, None, b"1"), ("get_blob", tag, "a"), ("get_blob_size", tag, "a")])
    assert done.result() == [None, b"1", 1] and client.later.batch([]).result() == []
    failed = client.later.batch([("put_blob", tag, "b", 0, None, b"2"), ("get_blob", tag, "no"), ("del_blob", tag, "b")])
    with pytest.raises(NoSuchBlob):
        failed.result()
    assert client.get_contained_blobs(tag) == ["a", "b"]


async def test_futures_can_be_awaited(client, tag):
    await asyncio.gather(*[_put(client, tag, number) for number in range(20)])
    assert sorted(client.get_contained_blobs(tag)) == sorted(f"b{number}" for number in range(20))
    with pytest.raises(NoSuchBlob):
        await client.later.get_blob(tag, "no")


async def _put(client, tag, number):
    await client.later.put_blob(tag, f"b{number}", 0, None, b"x")
    assert await client.later.get_blob(tag, f"b{number}") == b"x"


async def test_an_awaited_put_that_is_given_up_is_whole_or_not(open_store):
    with Client(open_store(memory=True, ram="64m")) as client:
        tag = client.get_or_create_tag("t")
        for number in range(10):
            data, nbytes = bytearray([number + 1]) * (20 << 20), 20 << 20
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(client.later.put_blob(tag, "b", 0, None, data), 1e-3 * (number % 3))
            await client.later.call(lambda: None)           # a thread may still be at the put before
            if client.store.exists("t", "b"):
                found = client.store.get("t", "b")
                assert len(found) == nbytes and len(set(found[::4096])) == 1


def test_closing_waits_for_what_is_under_way(open_store):
    client = Client(open_store(memory=True))
    gate = Gate(client)
    later, held = client.later, client.later.held()
    assert gate.entered.wait(20)
    threading.Timer(0.05, gate.opened.set).start()
    client.close(), client.close()
    assert held.is_complete() and held.result() == "held"
    with pytest.raises(UsageError):
        later.tag_query(".*")
    with pytest.raises(UsageError):
        Client(client.store, threads=0).later
    with pytest.raises(AttributeError):
        later.no_such_call


def test_a_close_waits_for_calls_no_longer_than_it_may(open_store):
    client = Client(open_store(memory=True), threads=1, depth=2)
    gate = Gate(client)
    held, later = client.later.held(), client.later
    assert gate.entered.wait(20)
    later._timeout_s, said = 0.2, []

    def close():
        with pytest.raises(WaitTimeout, match="waited 0.2 s for the end of calls of this client, which threads of this process are still at"):
            client.close()
        said.append(True)
    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(20)
    with pytest.raises(UsageError, match="closed"):
        later.tag_query(".*")
    gate.opened.set()
    assert said and held.result(20) == "held"
    later._timeout_s = 20
    later.close()


def test_waits_for_blobs_keep_no_call_from_being_made(open_store):
    with Client(open_store(memory=True), threads=1) as client:
        tag = client.get_or_create_tag("t")
        waits = [client.later.wait_blob(tag, f"b{number}", 600) for number in range(5)]
        puts = [client.later.put_blob(tag, f"b{number}", 0, None, b"x" * (number + 1)) for number in range(5)]
        assert [wait.result(60) for wait in waits] == [1, 2, 3, 4, 5] and all(put.result() is None for put in puts)
        with pytest.raises(WaitTimeout, match="waited 0.3 s for blob 'none' of tag 't', which nobody has put"):
            client.later.wait_blob(tag, "none", 0.3).result()
        with pytest.raises(TypeError):
            client.later.wait_blob(tag).result()


def test_a_wait_ends_when_the_client_is_closed(open_store):
    client = Client(open_store(memory=True))
    client.get_or_create_tag("t")
    later, wait = client.later, client.later.wait_blob("t", "never", 600)
    client.close()
    with pytest.raises(UsageError, match="the client was closed while it waited for blob 'never'"):
        wait.result()
    with pytest.raises(UsageError, match="the client was closed"):
        later.wait_blob("t", "never", 600)


def test_a_wait_for_which_there_is_no_thread_keeps_no_client_from_being_closed(open_store, monkeypatch):
    client = Client(open_store(memory=True))
    client.get_or_create_tag("t")

    def refused(thread):
        raise RuntimeError("can't start new thread")
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refused)
        with pytest.raises(UsageError):
            client.later.wait_blob("t", "never", 600)
    client.close()


def test_a_wait_keeps_no_python_from_ending():
    program = "from wrp.cte import Store; from wrp.cte.client import Client; Client(Store.open(None)).later.wait_blob('t', 'never', 600)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("store", [None, "store", 5])
def test_a_tag_of_no_store(store):
    with pytest.raises(UsageError, match="a Tag is of an opened Store or a Client of it, not of"):
        Tag("t", store)
