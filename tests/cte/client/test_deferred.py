"""Deferred puts: read before they are stored, stored many at once, bounded, with errors that stay."""

import signal
import subprocess
import sys
import threading

import pytest

from harness.mpirun import job_environment
from wrp.cte import Store
from wrp.errors import NoSuchTag, OutOfSpace, RangeError, UsageError, WaitTimeout

MIB = 1 << 20


def test_what_was_put_is_read_at_once_and_stored_at_the_end(client, tag):
    with client.deferred() as puts:
        for number in range(500):
            puts.put_blob(tag, f"b{number % 100}", bytes([number % 251]) * 3000)
            assert puts.get_blob(tag, f"b{number % 100}") == bytes([number % 251]) * 3000
        assert puts.get_blob(tag, "b99", 10, 5) == bytes([499 % 251]) * 5
        puts.await_puts()
        assert all(client.get_blob(tag, f"b{number}") == bytes([(400 + number) % 251]) * 3000 for number in range(100))
    puts.close()
    with pytest.raises(UsageError, match="closed"):
        puts.put_blob(tag, "b", b"x")


def test_what_was_awaited_and_flushed_outlasts_a_kill(tmp_path):
    code = ("import os, signal, sys\nfrom wrp.cte import Store\nfrom wrp.cte.client import Client\nstore = Store.open(sys.argv[1])\nclient = Client(store)\n"
            "tag, puts = client.get_or_create_tag('t'), client.deferred()\nfor number in range(50):\n    puts.put_blob(tag, f'b{number}', bytes([number]) * 3000)\n"
            "puts.await_puts()\nclient.flush_data()\nos.kill(os.getpid(), signal.SIGKILL)")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "store"], capture_output=True, text=True, timeout=60, env=job_environment())
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Store.open(tmp_path / "store", write=False) as store:
        assert {blob: store.get("t", blob) for blob in store.list("t")} == {f"b{number}": bytes([number]) * 3000 for number in range(50)}


def test_many_are_stored_by_one_call(client, tag, monkeypatch):
    calls, held, original = [], threading.Event(), client.store.put_many

    def counted(name, blobs, rows, score):
        assert held.wait(20)
        calls.append(len(blobs))
        original(name, blobs, rows, score)
    monkeypatch.setattr(client.store, "put_many", counted)
    with client.deferred() as puts:
        for number in range(200):
            puts.put_blob(tag, f"b{number}", b"x" * 100, 0.5)
        held.set()
    assert sum(calls) == 200 and len(calls) <= 6 and max(calls) == 64
    assert client.get_blob_score(tag, "b199") == 0.5


def test_a_put_waits_for_room(client, tag, monkeypatch):
    held, original = threading.Event(), client.store.put_many
    monkeypatch.setattr(client.store, "put_many", lambda *args: held.wait(20) and original(*args))
    puts = client.deferred(1000)
    try:
        puts.put_blob(tag, "a", b"a" * 600)
        puts.await_space(400)
        puts._timeout_s = 0.05
        with pytest.raises(WaitTimeout, match="room for a put: 1 puts"):
            puts.put_blob(tag, "b", b"b" * 600)
        with pytest.raises(WaitTimeout, match="room for 600 bytes"):
            puts.await_space(600)
        with pytest.raises(OutOfSpace, match="more than the 1000 that may wait"):
            puts.put_blob(tag, "c", b"c" * 1001)
    finally:
        puts._timeout_s = 20
        held.set()
        puts.put_blob(tag, "b", b"b" * 600)
        puts.close()
    assert client.get_blob(tag, "a") + client.get_blob(tag, "b") == b"a" * 600 + b"b" * 600


def test_errors_stay_until_somebody_asks(open_client):
    client = open_client(memory=True, ram="2m")
    tag, puts = client.get_or_create_tag("t"), client.deferred()
    for number in range(4):
        puts.put_blob(tag, f"b{number}", bytes([number]) * MIB)
    for _ in range(2):
        with pytest.raises(OutOfSpace):
            puts.await_puts()
    stored = client.list_blobs(tag)
    assert puts.error_count == 4 - len(stored) and {failed.blob for failed in puts.errors()} | set(stored) == {f"b{number}" for number in range(4)}
    assert puts.error_count == 0 and stored and all(client.get_blob(tag, blob) == bytes([int(blob[1])]) * MIB for blob in stored)
    client.del_blob(tag, stored[0])
    puts.put_blob(tag, stored[0], b"small")
    puts.close()
    assert client.get_blob(tag, stored[0]) == b"small"


def test_refusals(client, tag):
    with client.deferred() as puts:
        for args, error in ((("no", "b", b"x"), NoSuchTag), ((tag, "", b"x"), UsageError), ((tag, "b", b"x", 2.0), UsageError), ((tag, "b", 7), UsageError)):
            with pytest.raises(error):
                puts.put_blob(*args)
        puts.put_blob(tag, "b", b"x")
        with pytest.raises(RangeError):
            puts.get_blob(tag, "b", 0, 5)
    with pytest.raises(LookupError):
        with client.deferred() as puts:
            puts.put_blob(tag, "kept", b"x")
            raise LookupError("an error of the block")
    assert client.get_blob(tag, "kept") == b"x"
    with pytest.raises(UsageError):
        client.deferred(0)


def test_a_close_waits_for_a_put_no_longer_than_it_may(client, tag, monkeypatch):
    held, begun, original = threading.Event(), threading.Event(), client.store.put_many
    monkeypatch.setattr(client.store, "put_many", lambda *args: begun.set() or held.wait(60) and original(*args))
    puts = client.deferred()
    puts._timeout_s = 0.2
    puts.put_blob(tag, "b", b"x")
    assert begun.wait(20)
    said, closing = [], threading.Thread(target=lambda: said.append(_error_of(puts.close)), daemon=True)
    closing.start()
    closing.join(20)
    thread = puts._thread._thread
    held.set()
    thread.join(20)
    assert "waited 0.2 s for all puts: 1 puts of this process aren't stored yet" in str(said[0]) and isinstance(said[0], WaitTimeout)
    assert not thread.is_alive() and client.get_blob(tag, "b") == b"x"


def _error_of(call):
    try:
        call()
    except Exception as error:
        return error
