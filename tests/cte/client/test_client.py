"""The client's calls: the semantics that users of the reference know, what is refused and with which code, arrays in and out."""

import os
import time

import numpy as np
import pytest

from wrp.cte.client import PARTIAL, REPLACE, Client, Context, Tag, UniqueId, code_of
from wrp.errors import Changed, Corrupt, NoSuchBlob, NoSuchTag, OutOfSpace, RangeError, StoreError, UsageError


def test_score_of_a_put(client, tag):
    client.put_blob(tag, "b", 0, None, b"one")
    assert client.get_blob_score(tag, "b") == 1.0
    client.put_blob(tag, "b", 0, None, b"two", 0.25)
    client.put_blob(tag, "b", 0, None, b"three")
    assert client.get_blob_score(tag, "b") == 0.25 and client.get_blob(tag, "b") == b"three"
    client.put_blob(tag, "b", 2, None, b"xx", 0.5)
    assert client.get_blob_score(tag, "b") == 0.5 and client.get_blob(tag, "b") == b"thxxe"


def test_where_a_put_begins_says_whether_it_replaces(client, tag):
    client.put_blob(tag, "b", 0, None, b"0123456789")
    client.put_blob(tag, "b", 4, 2, b"xyz")
    assert client.get_blob(tag, "b") == b"0123xy6789"
    client.put_blob(tag, "b", 0, None, b"ab", flags=PARTIAL)
    assert client.get_blob(tag, "b") == b"ab23xy6789"
    client.put_blob(tag, "b", 3, None, b"END", flags=REPLACE)
    assert client.get_blob(tag, "b") == b"ab2END"
    client.put_blob(tag, "b", 0, None, b"short")
    assert client.get_blob(tag, "b") == b"short"
    client.put_blob(tag, "b", 8, None, b"z")
    assert client.get_blob(tag, "b") == b"short\0\0\0z"
    client.truncate_blob(tag, "b", 3), client.append_blob(tag, "b", b"!")
    assert client.get_blob(tag, "b") == b"sho!" and client.get_tag_size(tag) == 4


def test_short_reads_are_errors(client, tag):
    client.put_blob(tag, "b", 0, None, b"0123")
    for offset, size, out in ((0, 5, None), (3, 2, None), (5, None, None), (0, None, bytearray(5)), (-1, 1, None)):
        with pytest.raises(RangeError):
            client.get_blob(tag, "b", offset, size, out=out)
    assert client.get_blob(tag, "b", 1, 2) == b"12" and client.get_blob(tag, "b", out=bytearray(3)) == 3


def test_ids_name_one_tag_for_ever(open_store):
    with Client(open_store()) as client:
        first, other = client.get_or_create_tag("t"), client.get_or_create_tag("u")
        assert first == client.get_or_create_tag("t") == client.get_or_create_tag("t", UniqueId.null()) and first != other
        assert {first: 1}[UniqueId.from_u64(first.to_u64())] == 1 and not first.is_null and UniqueId.null().is_null
        assert client.get_tag_name(first) == "t"
        client.put_blob(first, "b", 0, None, b"1")
        client.store.flush()
        with client.store.batch("into a tag that is there") as batch:
            batch.put("t", "c", b"2")
        assert client.get_or_create_tag("t") == first
        client.store.close()
    with Client(open_store()) as client:
        assert client.get_tag_name(first) == "t" and client.get_blob(first, "c") == b"2" and client.get_blob(first, "b") == b"1"
        renamed = client.rename_tag(first, "v")
        assert renamed == first and client.get_blob(renamed, "b") == b"1" and client.get_tag_name(renamed) == "v"
        client.del_tag(other)
        assert client.get_or_create_tag("u") != other
        for call in (lambda: client.get_tag_name(other), lambda: client.put_blob(other, "b", 0, None, b"1"), lambda: client.get_tag_size("t"),
                     lambda: client.get_contained_blobs(UniqueId.null()), lambda: client.del_tag("no")):
            with pytest.raises(NoSuchTag):
                call()
        with pytest.raises(UsageError):
            client.get_or_create_tag("u", UniqueId(1, 2))
        with pytest.raises(Changed):
            client.rename_tag(renamed, "u")


def test_queries_match_names_as_a_whole(client):
    for name in ("t1", "t2", "t10", "other"):
        client.multi_put_blob(client.get_or_create_tag(name), ["a", "b1", "b2"], [b"1", b"2", b"3"])
    assert client.tag_query("t") == ([], 0) and client.tag_query(r"t\d+") == (["t1", "t2", "t10"], 3)
    assert client.tag_query("t.*", 2) == (["t1", "t2"], 3) and client.tag_query(".*", 0).total == 4
    assert client.blob_query("t1.*", "b.") == (["t1", "t1", "t10", "t10"], ["b1", "b2", "b1", "b2"], 4)
    assert client.blob_query(".*", "b.", 3) == (["other", "other", "t1"], ["b1", "b2", "b1"], 8)
    for call in (lambda: client.tag_query("("), lambda: client.blob_query(".*", ".*", -1), lambda: client.tag_query(".*", 0, "nowhere")):
        with pytest.raises(UsageError):
            call()


REFUSALS = [(2, "put_blob", ("t", "b", 0, 0, b"x")), (2, "put_blob", ("t", "b", 0, None, b"")), (3, "put_blob", ("t", "b", 0, None, None)),
            (4, "put_blob", ("t", "", 0, None, b"x")), (5, "put_blob", ("t", "b", 0, None, b"x", 1.5)), (1, "put_blob", ("t", "b", 0, 9, b"x")),
            (1, "put_blob", ("t", "b", -1, None, b"x")), (1, "put_blob", ("t", "b", 0, None, b"x", -1, None, 3)), (1, "put_blob", ("t", "b", 0, None, "text")),
            (13, "put_blob", ("t", "b", 0, None, bytes(9 << 20))), (1, "put_blob", ("no", "b", 0, None, b"x")),
            (1, "get_blob", ("t", "there", 0, 0)), (1, "get_blob", ("t", "")), (1, "get_blob", ("t", "no")), (1, "get_blob", ("t", "there", 0, 99)),
            (3, "reorganize_blob", ("t", "no", 0.1)), (1, "reorganize_blob", ("t", "there", 1.1)), (1, "del_blob", ("t", "no")), (1, "del_tag", ("no",)),
            (1, "get_tag_size", ("no",)), (1, "get_contained_blobs", ("no",)), (1, "get_blob_score", ("t", "no")), (1, "get_blob_size", ("t", "no")),
            (2, "get_target_info", ("no",)), (1, "register_target", ("new", "tape", 1 << 20)), (1, "register_target", ("ram::test", "file", 1 << 20)), (1, "unregister_target", ("ram::test",)),
            (1, "unregister_target", ("no",))]


@pytest.mark.parametrize("code, call, args", REFUSALS, ids=[f"{call} {code} {number}" for number, (code, call, _) in enumerate(REFUSALS)])
def test_what_is_refused_has_the_reference_s_code(open_client, code, call, args):
    client = open_client(memory=True)
    client.put_blob(client.get_or_create_tag("t"), "there", 0, None, b"x")
    future = getattr(client.later, call)(*args)
    assert future.wait() and future.get_return_code() == code, future.error()
    with pytest.raises((UsageError, NoSuchTag, NoSuchBlob, RangeError, OutOfSpace)):
        getattr(client, call)(*args)
    assert client.blob_query(".*", ".*").blob_names == ["there"] and client.get_blob("t", "there") == b"x"


def test_codes_of_errors_that_storage_makes():
    assert [code_of("put_blob", StoreError("")), code_of("reorganize_blob", Corrupt("")), code_of("reorganize_blob", OutOfSpace("")),
            code_of("flush_metadata", StoreError("")), code_of("get_blob", None), code_of("multi_put_blob", OutOfSpace(""))] == [21, 6, 5, 99, 0, 13]


@pytest.mark.parametrize("data", [b"12345678", bytearray(b"12345678"), memoryview(b"12345678"), memoryview(b"1-2-3-4-5-6-7-8-")[::2],
                                  np.frombuffer(b"12345678", "<i4"), np.frombuffer(b"1357----2468----", "u1").reshape(2, 8)[:, :4].T], ids=range(6))
def test_data_of_every_kind(client, tag, data):
    client.put_blob(tag, "b", 0, None, data)
    assert client.get_blob(tag, "b") == b"12345678"


def test_data_of_a_device_comes_through_dlpack(client, tag):
    class OnDevice:                         # has nothing but the protocol
        def __init__(self, array):
            self._array = array

        def __dlpack__(self, **how):
            return self._array.__dlpack__(**how)

        def __dlpack_device__(self):
            return self._array.__dlpack_device__()
    array = np.arange(6.0)
    client.put_blob(tag, "b", 0, None, OnDevice(array))
    assert client.get_blob(tag, "b") == array.tobytes()


def test_arrays_come_out_as_arrays(client, tag):
    array = np.arange(12, dtype=">f4").reshape(3, 4)
    client.put_blob(tag, "b", 0, None, array)
    found = client.get_blob(tag, "b", dtype=">f4", shape=(3, 4))
    assert np.array_equal(found, array) and found.flags.writeable
    assert np.array_equal(client.get_blob(tag, "b", 16, 16, dtype=">f4"), array[1])
    out = np.empty(4, ">f4")
    assert client.get_blob(tag, "b", 32, out=out) == 16 and np.array_equal(out, array[2])
    view = client.view_blob(tag, "b", ">f4", (3, 4))
    assert np.array_equal(view, array) and not view.flags.writeable
    for dtype, shape, error in (("f8", (7,), RangeError), ("S7", None, UsageError)):
        with pytest.raises(error):
            client.get_blob(tag, "b", dtype=dtype, shape=shape)
    with pytest.raises(UsageError):
        client.view_blob(tag, "b", "f4", (5,))
    del view


def test_a_reserved_array_is_read_only_when_it_is_the_blob(client, tag):
    with client.reserve_blob(tag, "r", (10, 10), "f8") as array:
        array[:] = 7
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    assert client.get_blob(tag, "r", dtype="f8").sum() == 700


def test_reserved_arrays_are_the_blob_when_the_block_ends(client, tag):
    with client.reserve_blob(tag, "b", (2, 3), "i8") as array:
        array[:] = np.arange(6).reshape(2, 3)
        assert client.get_contained_blobs(tag) == []
        del array
    assert client.get_blob(tag, "b", dtype="i8").tolist() == list(range(6))
    with pytest.raises(RuntimeError), client.reserve_blob(tag, "c", 8) as array:
        raise RuntimeError
    assert client.get_contained_blobs(tag) == ["b"]


def test_many_at_once(client, tag):
    rows = np.arange(40, dtype=np.int64).reshape(5, 8)
    names = [f"b{number}" for number in range(5)]
    client.multi_put_blob(tag, names, rows)
    out = np.empty_like(rows)
    client.multi_get_blob(tag, names, out)
    assert np.array_equal(out, rows) and client.multi_get_blob(tag, names[:2]) == [rows[0].tobytes(), rows[1].tobytes()]
    assert client.get_contained_blobs(tag) == names


def test_a_context_compresses_and_says_what_came_of_it(client, tag):
    context = Context(dynamic_compress=1, compress_lib=9)       # zlib
    client.put_blob(tag, "b", 0, None, bytes(100_000), context=context)
    assert context.actual_original_size == 100_000 > context.actual_compressed_size > 0 and context.actual_compression_ratio > 10
    assert client.get_blob(tag, "b") == bytes(100_000) and client.get_blob_size(tag, "b") == 100_000
    context = Context()
    client.put_blob(tag, "b", 0, None, b"plain", context=context)
    assert (context.actual_original_size, context.actual_compressed_size) == (5, 5)


def test_a_context_says_how_long_the_bytes_are_to_last(client, tag):
    for context, target in ((Context(), 0), (Context(min_persistence_level=1), 1), (Context(persistence_target=2), 1), (Context(persistence_target=0), 0)):
        client.put_blob(tag, "b", 0, None, bytes(100), context=context)
        assert {block[0] for block in client.get_blob_info(tag, "b").blocks} == {target}
    with pytest.raises(OutOfSpace, match="no tier that fits"):
        client.put_blob(tag, "b", 0, None, bytes(100), context=Context(persistence_target=1))
    for wrong in (Context(min_persistence_level=3), Context(persistence_target=-2), Context(min_persistence_level=2, persistence_target=0)):
        with pytest.raises(UsageError):
            client.put_blob(tag, "b", 0, None, bytes(100), context=wrong)


def test_the_tag_wrapper(client):
    tag = Tag("t", client)
    tag.put_blob("b", b"0123", score=0.5)
    tag.put_blob("b", b"X", offset=3, score=-1)
    assert tag.async_put_blob("c", b"later").wait()
    assert tag.get_blob("b") == b"012X" and tag.get_blob("b", 2, 1) == b"12" and tag.get_blob_score("b") == 0.5
    assert tag.get_blob_size("b") == 4 and tag.get_contained_blobs() == ["b", "c"]
    again = Tag(tag.get_tag_id(), client.store)
    again.reorganize_blob("b", 1.0)
    assert again.name == "t" and tag.get_blob_score("b") == 1.0
    for wrong in (dict(data=b""), dict(data=None), dict(data=b"1", score=2)):
        with pytest.raises(UsageError):
            tag.put_blob("b", **wrong)
    with pytest.raises(NoSuchTag):
        Tag(UniqueId(1, 1), client)


def test_targets_are_those_of_the_configuration(client, tag):
    client.register_target("ram::test", "ram", 1 << 20)
    ram = client.get_target_info("ram::test")
    client.put_blob(tag, "b", 0, None, bytes(1 << 20))
    client.get_blob(tag, "b")
    after = client.get_target_info("ram::test")
    assert client.list_targets()[0] == "ram::test" and len(client.list_targets()) >= 2 and client.stat_targets(period_ms=50)[0] == after
    assert ram.remaining_space - after.remaining_space >= 1 << 20 and after.bytes_written - ram.bytes_written == 1 << 20
    assert after.bytes_read - ram.bytes_read == 1 << 20 and (after.ops_read, after.score) == (ram.ops_read + 1, 1.0)


def test_targets_come_and_go(client, tag):
    client.put_blob(tag, "b", 0, None, b"x" * 1000)
    client.register_target("ram::more", "ram", 1 << 20), client.register_target("ram::more", "ram", 1 << 20)
    assert client.list_targets().count("ram::more") == 1 and client.store.move(client.get_tag_name(tag), "b", "ram::more")
    assert client.get_target_info("ram::more").remaining_space < 1 << 20
    client.unregister_target("ram::more")
    assert "ram::more" not in client.list_targets() and client.get_blob(tag, "b") == b"x" * 1000


def test_flushes_say_what_is_durable_now(client, tag):
    client.multi_put_blob(tag, ["a", "b"], [b"12", b"345"])
    assert client.flush_data() == (5, 2) and client.flush_data("dynamic") == (0, 0)
    client.put_blob(tag, "c", 0, None, b"1")
    assert client.flush_metadata() == 1
    with pytest.raises(UsageError):
        client.flush_data(period_us=100)


def test_telemetry_and_search_by_time(client, tag):
    begin = time.time_ns()
    other = client.get_or_create_tag("gone")
    client.put_blob(other, "x", 0, None, b"1")
    client.put_blob(tag, "b", 0, None, b"123")
    client.get_blob(tag, "b", 1, 2)
    client.del_tag(other)
    log = client.poll_telemetry_log(0)
    assert [entry.tag_id for entry in log.entries if entry.op in (0, 1)] == [UniqueId.null(), tag, tag]
    assert [(entry.off, entry.size) for entry in log.entries if entry.op in (0, 1)] == [(0, 1), (0, 3), (1, 2)] and log.lost == 0
    assert client.poll_telemetry_log(log.last_logical_time + 1).entries == []
    assert [change[1:] for change in client.temporal_search(begin)] == [("t", "b")] and client.temporal_search(time.time_ns()) == []


def test_a_blob_follows_its_score(client, tag):
    client.put_blob(tag, "b", 0, None, os.urandom(100_000))
    before = client.get_blob(tag, "b")
    client.reorganize_blob(tag, "b", 0.97)
    assert client.get_blob_score(tag, "b") == 1.0                      # nearly the same: nothing happens
    client.reorganize_blob(tag, "b", 0.1)
    assert {target for target, _, _ in client.get_blob_info(tag, "b").blocks} == {1} and client.get_blob_score(tag, "b") == 0.1
    client.reorganize_blob(tag, "b", 1.0)
    assert {target for target, _, _ in client.get_blob_info(tag, "b").blocks} == {0} and client.get_blob(tag, "b") == before
