"""Calls that the reference's client doesn't have, by this one's names."""

import pytest

from wrp.errors import Changed, NoSuchTag, UsageError, WaitTimeout


def test_blobs_and_tags(client, tag):
    client.put_blob(tag, "b1", 0, None, b"one")
    assert client.exists_tag("t") and not client.exists_tag("u") and client.exists_blob(tag, "b1") and not client.exists_blob(tag, "b2")
    other = client.get_or_create_tag("u")
    client.copy_blob(tag, "b1", other, "c")
    client.rename_blob(other, "c", "b2", tag)
    client.rename_blob(tag, "b1", "a")
    assert client.list_blobs(tag) == ["a", "b2"] and client.list_blobs("t", "b") == ["b2"] and client.list_blobs(other) == []
    then = client.snapshot_tag(tag, "then")
    client.del_tag(tag)
    assert client.get_tag_name(then) == "then" and client.get_blob(then, "b2") == client.get_blob(then, "a") == b"one"
    with pytest.raises(NoSuchTag):
        client.list_blobs(tag)
    assert client.get_residency(then, "a", 1, 2) and not client.get_residency(then, "a", 1, 3)
    client.truncate_blob(then, "a", 100)
    assert client.get_residency(then, "a", 3, 97)


def test_a_put_by_generation(client, tag):
    client.put_blob_if(tag, "b", 0, b"first")
    generation = client.get_blob_generation(tag, "b")
    assert generation and client.get_blob_generation(tag, "no") == 0
    client.put_blob_if(tag, "b", generation, b"second")
    for wrong in (0, generation):
        with pytest.raises(Changed):
            client.put_blob_if(tag, "b", wrong, b"third")
    assert client.get_blob(tag, "b") == b"second"


def test_waiting_for_a_blob(client, tag):
    later = client.later.wait_blob(tag, "b", 20)
    client.put_blob(tag, "b", 0, None, b"here")
    assert later.result() == 4
    with pytest.raises(WaitTimeout):
        client.wait_blob(tag, "no", 0.01)


def test_capacity_and_eviction(open_client):
    client = open_client(ram="4m", file="16m")
    tag, ram = client.get_or_create_tag("t"), "ram::test"
    for number in range(6):
        client.put_blob(tag, f"b{number}", 0, None, bytes([number]) * 400_000)
        client.store.score("t", f"b{number}", 1 - number / 10)
    capacity, remaining = client.get_capacity()
    assert capacity == 20 << 20 and 16 << 20 < remaining <= capacity - 6 * 400_000
    assert client.evict(ram, 600_000) == 800_000                    # whole blobs, of the lowest score
    where = {blob: {target for target, _, _ in client.get_blob_info(tag, blob).blocks} for blob in client.list_blobs(tag)}
    assert [where[f"b{number}"] for number in range(6)] == [{0}] * 4 + [{1}] * 2
    assert all(client.get_blob(tag, f"b{number}") == bytes([number]) * 400_000 for number in range(6))
    view = client.view_blob(tag, "b3")
    assert client.evict(ram, 1) == 400_000 and view[0] == 3          # of b2: what is viewed stays
    del view
    assert client.evict("data", 1) == 0                              # there is nothing slower
    for wrong in (("file", 1), ("no", 1), (ram, -1)):
        with pytest.raises(UsageError):
            client.evict(*wrong)
