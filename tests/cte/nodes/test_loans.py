"""Loans by themselves: in whichever order its letters come, space belongs to one call."""

import pytest

from wrp.cte.nodes.loans import Loans
from wrp.errors import WrpError

PLACE = ((0, 4096, 100, 0),)


def test_a_late_word_that_space_is_kept_leaves_the_call_that_has_it_since():
    freed = []
    loans = Loans(freed.extend)
    loans.open(1, PLACE)
    loans.open(2, PLACE)            # the blob that it became has gone, and another call has leased the space
    loans.close(1, True)
    assert loans.take(PLACE) == PLACE and not freed
    with pytest.raises(WrpError, match="was given up"):
        loans.take(PLACE)


def test_what_is_given_up_before_it_is_leased_goes_back_at_once():
    freed = []
    loans = Loans(freed.extend)
    loans.close(1, False)
    with pytest.raises(WrpError, match="has ended since"):
        loans.open(1, PLACE)
    assert freed == list(PLACE)
