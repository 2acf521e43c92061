"""What a node's pool table knows of containers that were moved, and what it has no room for."""

import pytest

from wrp.errors import WrpError
from wrp.runtime import pools


@pytest.fixture
def table(runtime):
    for name in ("a", "b"):
        runtime.pool(name, "admin")
    return runtime.node.table


def test_the_newest_move_counts(table):
    a, b = table.find("a").number, table.find("b").number
    assert table.expect_move(a, 3, (0, 7)) == 1 and table.moved(a, 3) is None           # it may move, and hasn't
    for version, place, found in ((1, (2, 0), (2, 0)), (3, (0, 7), (0, 7)), (2, (1, 0), (0, 7)), (3, (1, 0), (0, 7)), (4, (1, 0), (1, 0))):
        table.set_moved(a, 3, place, version)
        assert table.moved(a, 3) == found
    assert table.expect_move(a, 3, (0, 7)) == 5 and table.moved(a, 3) == (1, 0)
    assert table.moved(a, 2) is None and table.moved(b, 3) is None
    assert pools.pool_place(table.entry(a), 0) == (-1, 0) and pools.pool_place(table.entry(b), 0) == (0, 0)


def test_there_is_room_for_so_many(table):
    a = table.find("a").number
    for container in range(512):
        assert table.expect_move(a, container, (0, a)) == 1
    with pytest.raises(WrpError, match="512 containers were moved"):
        table.expect_move(a, 512, (0, a))
    table.set_moved(a, 511, (1, 0), 1)
    assert table.moved(a, 511) == (1, 0)


def test_guests_have_entries_of_their_own_until_there_is_no_room(table):
    slot = table.find("a")
    first = table.add_guest(slot, 1)
    assert (table.slot(first).id, table.slot(first).lane, table.slot(first).kind) == (slot.id, 1, slot.kind) and first in table.entries_of(slot)
    assert table.key(first) == (0, 0) and table.find("a") == slot == table.find_id(slot.id)
    with pytest.raises(WrpError, match="the node has room for 256 pools, shards and containers that came"):
        for _ in range(pools.MOST):
            table.add_guest(slot, 1)
    table.remove(slot)
    assert table.find("a") is None and table.entries_of(slot) == [] and table.find("b") is not None
