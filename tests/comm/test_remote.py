"""A remote window of one process, and a node that doesn't answer."""

import pytest
from harness.mpirun import needs_mpirun, run_python
from wrp.comm.ranks import world
from wrp.comm.remote import RemoteWindow
from wrp.comm.segment import Segment
from wrp.errors import RangeError, UsageError

_NBYTES = 1 << 16
_SILENT_NODE = """
import sys, time
from wrp.comm import window
from wrp.comm.ranks import run
from wrp.comm.remote import RemoteWindow
def main(ranks):
    segment = window.allocate(ranks.on_node, 1 << 16)
    remote = RemoteWindow(ranks, segment)
    if ranks.rank == 0:
        remote.put(1, 32768, b"abc")
    else:
        time.sleep(20)
sys.exit(run(main))
"""


def test_own_node():
    with Segment.private(_NBYTES) as segment:
        remote = RemoteWindow(world(), segment)
        offset, _ = segment.place("region", 128)
        remote.put(0, offset + 5, b"")
        remote.put(0, offset + 5, b"abc")
        out = bytearray(9)
        remote.get(0, offset + 2, out)
        assert bytes(out) == b"\0\0\0abc\0\0\0"
        for wrong in (-1, _NBYTES - 2):
            with pytest.raises(RangeError):
                remote.get(0, wrong, bytearray(3))
        with pytest.raises(UsageError, match="no node 1"):
            remote.get(1, 0, out)
        remote.close()
        with pytest.raises(UsageError, match="closed"):
            remote.get(0, 0, out)


@needs_mpirun
def test_a_node_that_does_not_answer_is_named():
    env = {"WRP_RANKS_PER_NODE": "1", "WRP_TIMEOUT_S": "1", "OMPI_MCA_btl": "self,tcp"}
    done = run_python(_SILENT_NODE, 2, timeout_s=30, env=env)
    assert done.returncode == 9
    assert "s for a put on node 1; its first rank, 1, made no call of MPI" in done.stderr
