"""The split of blobs over ranks: every blob once, contiguous, balanced, for any number of ranks."""

from hypothesis import given
from hypothesis import strategies as st

from wrp.cae import split
from wrp.cae.assimilator import Item

items = st.lists(st.builds(lambda nbytes, blob, factor: Item("t", "", nbytes, blob, nbytes * factor),
                           st.integers(0, 5000), st.integers(1, 64), st.integers(0, 4)), max_size=8)


@given(items, st.integers(1, 9))
def test_every_blob_once_in_order(items, size):
    shares = split.shares(items, size)
    assert len(shares) == size
    dealt = [(number, blob) for share in shares for number, first, stop in share for blob in range(first, stop)]
    assert dealt == [(number, blob) for number, item in enumerate(items) for blob in range(item.blobs)]
    assert all(first < stop for share in shares for _, first, stop in share)


@given(st.integers(1, 10000), st.integers(1, 9))
def test_one_item_is_split_evenly(blobs, size):
    counts = [sum(stop - first for _, first, stop in share)
              for share in split.shares([Item("t", "", blobs, 1, blobs)], size)]
    assert max(counts) - min(counts) <= 1


def test_costly_items_get_more_ranks():
    items = [Item("cheap", "", 100, 1, 100), Item("dear", "", 100, 1, 300)]
    assert split.shares(items, 4) == [[(0, 0, 100)], [(1, 0, 33)], [(1, 33, 67)], [(1, 67, 100)]]
