"""Calls that an error of a signal's handler ends while bytes are on their way to another node, which serves: they have happened or not."""

import pytest
from harness.interrupting import interrupted_at

from wrp.comm.ranks import world
from wrp.cte import Store

pytestmark = pytest.mark.mpi
_NBYTES = 5_000_000


def test_a_long_put_or_get_between_nodes_that_is_interrupted_leaves_memory_alone():
    ranks = world()
    with Store.open(None, ranks) as store:
        if ranks.rank == 0:
            for number in range(2 * ranks.nodes):       # at home on this node and on others
                blob, step = f"b{number}", 1
                store.put("t", blob, b"0" * _NBYTES)
                while interrupted_at(step, lambda: (store.put("t", blob, bytes([step % 256]) * _NBYTES), store.get("t", blob))):
                    found = store.get("t", blob)
                    assert len(found) == _NBYTES and len(set(found[::1000])) == 1
                    step += 29
                assert step > 29
        ranks.barrier("rank 0 is done")
