"""Search by time and statistics over records, and the same over a real store."""

import pytest
from wrp.cte.records import BLOB, TAG, Record, full_name
from wrp.cte.telemetry import changed_between, of_tags, of_targets, times_of
from wrp.cte.telemetry.counters import Counts
from wrp.errors import UsageError


def blob(tag, name, stamp, size=10, extents=((0, 0, 10, 1),), durable=(), dirty=True):
    return Record(full_name(tag, name), BLOB, stamp, size, extents=extents, durable=durable, dirty=dirty)


RECORDS = [Record("t", TAG, 1), Record("empty", TAG, 2), blob("t", "b", 50), blob("t", "a", 20), blob("u", "x", 30), blob("t", "c", 40)]


@pytest.mark.parametrize("arguments, found", [
    ({}, ["a", "x", "c", "b"]),
    ({"since": 30}, ["x", "c", "b"]),
    ({"until": 30}, ["a"]),                     # without the end
    ({"since": 30, "until": 50}, ["x", "c"]),
    ({"limit": 2}, ["a", "x"]),                 # the oldest are kept
    ({"since": 25, "limit": 1}, ["x"]),
    ({"since": 51}, []),
    ({"since": 30, "until": 30}, []),
    ({"limit": 10}, ["a", "x", "c", "b"]),
])
def test_search_by_time(arguments, found):
    changes = changed_between(RECORDS, **arguments)
    assert [change.blob for change in changes] == found
    assert [change.stamp for change in changes] == sorted(change.stamp for change in changes)


@pytest.mark.parametrize("arguments", [{"since": 5, "until": 4}, {"limit": -1}])
def test_impossible_searches_are_refused(arguments):
    with pytest.raises(UsageError, match="can't be|is negative"):
        times_of(**{"since": 0, "until": None, "limit": 0, **arguments})


def test_statistics():
    ram, file = (0, 64, 10, 5), (1, 0, 10, 5)
    records = [*RECORDS, blob("v", "clean", 60, 10, (ram,), (file,), dirty=False), blob("v", "file", 61, 10, (file,), (file,), dirty=False)]
    tags = of_tags(records)
    assert (tags["t"].blobs, tags["t"].nbytes, tags["t"].dirty_nbytes, tags["t"].first, tags["t"].last) == (3, 30, 30, 20, 50)
    assert (tags["empty"].blobs, tags["empty"].first) == (0, 0)
    assert tags["v"].by_target == {0: 10, 1: 20} and tags["v"].dirty_nbytes == 0
    targets = of_targets(records, {1: Counts(4, 40, 2, 20), 3: Counts(1, 1)})
    assert (targets[0].blobs, targets[0].nbytes, targets[1].blobs, targets[1].nbytes) == (5, 50, 2, 20)
    assert targets[1].counts == Counts(4, 40, 2, 20) and targets[0].counts == Counts() and targets[3].blobs == 0


def test_over_a_real_store(open_store):
    store = open_store(ram="8m")
    for number in range(5):
        store.put("t", f"b{number}", bytes(1000 * (number + 1)))
    store.put("t", "b1", b"again")
    records = store._catalog.scan()
    assert [change.blob for change in changed_between(records)] == ["b0", "b2", "b3", "b4", "b1"]
    middle = store.info("t", "b3").stamp
    assert [change.blob for change in changed_between(records, middle, limit=2)] == ["b3", "b4"]
    tag = of_tags(records)["t"]
    assert (tag.blobs, tag.nbytes) == (5, 1000 + 3000 + 4000 + 5000 + 5) and tag.nbytes == store.tag_size("t")
