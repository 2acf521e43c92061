"""Defects of the reference that this client must not have, by their letters; (d), of several nodes, is in test_client_mpi.py."""

import os
import threading

import pytest

from wrp.errors import OutOfSpace

MIB = 1 << 20


def test_a_blob_in_scattered_pieces_is_read_right(open_client):
    client = open_client(memory=True, ram="64m")
    tag, found = client.get_or_create_tag("t"), {}
    for number in range(15):
        found[f"b{number}"] = os.urandom(3 * MIB + number)
        client.put_blob(tag, f"b{number}", 0, None, found[f"b{number}"])
    for number in range(0, 15, 2):
        client.del_blob(tag, f"b{number}"), found.pop(f"b{number}")
    found["large"] = os.urandom(14 * MIB)
    client.put_blob(tag, "large", 0, None, found["large"])
    assert len(client.get_blob_info(tag, "large").blocks) > 1
    assert all(client.get_blob(tag, name) == data for name, data in found.items())


@pytest.mark.parametrize("nbytes", [100, 5000, 300_000])
def test_b_overwriting_and_deleting_gives_space_back(open_client, nbytes):
    client = open_client(memory=True)
    tag = client.get_or_create_tag("t")

    def turn():
        for size in (nbytes, nbytes + 77, nbytes // 2, 1):
            client.put_blob(tag, "b", 0, None, bytes(size))
        client.put_blob(tag, "other", 0, None, bytes(nbytes)), client.del_blob(tag, "other")
        return client.get_target_info("ram::test").remaining_space
    first = turn()
    assert {turn() for _ in range(100)} == {first} and client.get_tag_size(tag) == 1


def test_c_puts_at_once_promise_no_more_than_there_is(open_client):
    client = open_client(memory=True)
    tag, kept = client.get_or_create_tag("t"), []

    def fill(name):
        for number in range(40):
            data = bytes([number]) * (200_000 + number)
            try:
                client.put_blob(tag, f"{name}{number}", 0, None, data)
                kept.append((f"{name}{number}", data))
            except OutOfSpace:
                assert client.get_target_info("ram::test").remaining_space >= 0
    threads = [threading.Thread(target=fill, args=(name,)) for name in "abc"]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert 20 < len(kept) < 120 and sum(len(data) for _, data in kept) == client.get_tag_size(tag) <= 8 * MIB
    assert all(client.get_blob(tag, name) == data for name, data in kept)


def test_e_a_poll_is_in_order_and_takes_nothing_out(client, tag):
    for number in range(20):
        client.put_blob(tag, f"b{number}", 0, None, b"x")
        client.get_blob_score(tag, f"b{number}"), client.get_blob_size(tag, f"b{number}")
    log = client.poll_telemetry_log(0)
    times = [entry.logical_time for entry in log.entries]
    assert times == sorted(times) and log == client.poll_telemetry_log(0) and log.last_logical_time == times[-1]
    assert sum(entry.op == 0 for entry in log.entries) == 20 and not any(entry.op == 1 for entry in log.entries)     # sizes aren't gets


def test_f_a_blob_says_where_its_bytes_are(client, tag):
    client.put_blob(tag, "b", 0, None, bytes(9 * MIB), 0.5)
    score, size, blocks = client.get_blob_info(tag, "b")
    assert (score, size) == (0.5, 9 * MIB) and sum(nbytes for _, _, nbytes in blocks) == size
    assert {target for target, _, _ in blocks} <= {target.number for target in client.store.targets()}


def test_g_a_reader_finds_a_blob_that_is_reorganized(client, tag):
    data, stop, found = os.urandom(50_000), threading.Event(), []
    client.put_blob(tag, "b", 0, None, data)

    def read():
        while not stop.is_set():
            found.append(client.get_blob(tag, "b") == data)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(20):
            client.reorganize_blob(tag, "b", 0.1)
            client.reorganize_blob(tag, "b", 1.0)
    finally:
        stop.set(), reader.join()
    assert all(found) and len(found) > 10
