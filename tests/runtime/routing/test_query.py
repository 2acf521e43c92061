"""Routes as values and as text, and how ranges are split. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrp.errors import UsageError
from wrp.runtime.routing import Containers, PoolQuery, home, pieces
from wrp.runtime.routing.address import is_far, pack, unpack

_POOL = Containers(0, 3, 2)


@pytest.mark.parametrize("text, found", [
    ("local", (2, 1)), ("DYNAMIC", (2, 1)), ("direct_id:5", (5, 1)), ("Direct_Hash:13", (1, 1)), ("direct_hash:-1", ((1 << 64) % 6 - 1, 1)),
    ("range:1:4", (1, 4)), ("Broadcast", (0, 6)), (" physical:2 ", (4, 1)), ("many_to_one:9", (3, 1)), ("all_to_one:9:5", (3, 1))])
def test_texts_and_what_they_mean_on_node_1(text, found):
    query = PoolQuery.parse(text)
    assert query.resolved(_POOL, 1, 3) == found
    assert PoolQuery.parse(str(query)) == query


@pytest.mark.parametrize("text, sentence", [
    ("", "no route ''"), ("nearby", "no route 'nearby'"), ("direct_id", "wrong numbers"), ("direct_id:a", "wrong numbers"), ("local:1", "wrong numbers"),
    ("range:1", "wrong numbers"), ("range:1:2:3", "wrong numbers"), ("range:0:0", "too small"), ("range:-1:2", "too small"), ("direct_id:-1", "too small"),
    ("many_to_one:1:-1", "negative or too large"), ("direct_id:6", "containers 6 to 6: the pool has 6"), ("range:3:4", "containers 3 to 6"),
    ("physical:3", "no container on node 3")])
def test_refusals(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        PoolQuery.parse(text).resolved(_POOL, 1, 3)


def test_a_negative_time_limit_is_refused():
    with pytest.raises(UsageError, match="0 or more"):
        PoolQuery.parse("broadcast", -2.0)


@pytest.mark.parametrize("text", ["local", "direct_id:7", "direct_hash:7", "range:2:9", "broadcast", "physical:4", "dynamic", "all_to_one:3"])
def test_one_container_takes_everything(text):
    assert PoolQuery.parse(text).resolved(Containers(0, 1, 1), 0, 1) == (0, 1)


@given(st.integers(0, 1000), st.integers(1, 5000), st.integers(2, 64))
def test_pieces_cover_the_range_once(first, count, neighborhood):
    found = pieces(first, count, neighborhood)
    assert len(found) <= neighborhood
    assert [number for start, length in found for number in range(start, start + length)] == list(range(first, first + count))
    assert count == 1 or all(length < count for _, length in found)


@given(st.integers(0, 255), st.integers(0, 4000), st.integers(1, 4000), st.sampled_from([None, 0, 0.25, 30, 1e9]), st.booleans())
def test_addresses_fit_into_a_word(slot, first, count, net_timeout_s, joins):
    word = pack(slot, first, count, net_timeout_s, joins)
    assert is_far(word) and 0 < word < 1 << 63 and not is_far(slot)
    found = unpack(word)
    assert found[:3] == (slot, first, 1 if joins else count) and found[4] == joins
    assert found[3] is None if net_timeout_s is None else found[3] <= net_timeout_s


@pytest.mark.parametrize("query, found", [("local", (0, 4)), ("dynamic", (0, 4)), ("physical:2", (2, 1)), ("range:1:3", (1, 3))])
def test_nodes_of_a_pool(query, found):
    assert home(query, 4) == found


@pytest.mark.parametrize("query", ["direct_hash:1", "range:2:3", "physical:4"])
def test_nodes_of_a_pool_that_there_are_not(query):
    with pytest.raises(UsageError, match="can't be made on"):
        home(query, 4)
