"""A safe device of all ranks of a node: a member is lost while all write, one rank has it recovered, all read. Holds for any number of ranks."""

import os
import random

import pytest
from runtime.devices.safe.sets import break_disk, mend_disk

from wrp.comm.ranks import world
from wrp.errors import StoreError
from wrp.runtime.config import load
from wrp.runtime.devices import address
from wrp.runtime.runtime import Runtime

pytestmark = pytest.mark.mpi
MIB = 1 << 20


def test_all_ranks_write_while_a_member_is_lost_and_recovered(tmp_path):
    ranks = world()
    folder = ranks.share(str(tmp_path), "folder of the test")
    (tmp_path / "c.yaml").write_text("runtime: {timeout_s: 30, segment_capacity: 128m}")
    members = [os.path.join(folder, f"node{ranks.node}.m{number}") for number in range(5)]
    rng, model = random.Random(ranks.rank), bytearray(2 * MIB)
    with Runtime(ranks, load(str(tmp_path / "c.yaml"), {})) as runtime:
        device = runtime.device("safe", "safe", 64 * MIB, address(members, 2))
        begin = device.lease(len(model))

        def write(count):
            for _ in range(count):
                nbytes = rng.choice([1, 5000, 70_000, MIB])
                offset = rng.randrange(len(model) - nbytes)
                model[offset:offset + nbytes] = rng.randbytes(nbytes)
                device.write(begin + offset, memoryview(model)[offset:offset + nbytes])
        write(10)
        ranks.barrier("all have written")
        if ranks.local_rank == 0:
            break_disk(members[1])
        write(10)
        ranks.barrier("the member is lost")
        if ranks.local_rank == 0:
            mend_disk(members[1])
        ranks.barrier("its disk works again")
        if ranks.local_rank == ranks.local_size - 1:
            assert device.recover(members[1]) > 0
        else:
            write(10)
        ranks.barrier("the member is recovered")
        assert device.stats["failed"] == [] and device.stats["parity_level"] == 2
        if ranks.local_rank == 0:
            assert device.build_parity()[1:] == (0, 0, 0)
            for path in (members[0], members[4]):
                break_disk(path)
        ranks.barrier("two others are lost")
        out = bytearray(len(model))
        device.read(begin, out)
        assert out == model and set(device.stats["failed"]) <= {members[0], members[4]}
        if ranks.local_rank == ranks.local_size - 1:
            with pytest.raises(StoreError, match="needn't be recovered"):
                device.recover(1)
        ranks.barrier("all have read")
