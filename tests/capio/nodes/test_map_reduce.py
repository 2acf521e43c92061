"""split -> two maps -> merge over three nodes, all started at once: bytes go where they are read."""

import pytest

from capio.nodes.several import Several
from capio.served import ended, needs_compiler
from capio.test_programs import MAP_AND_REDUCE, MAP_PROGRAMS, MAP_RESULT
from harness.mpirun import needs_mpirun


@needs_compiler
@needs_mpirun
@pytest.mark.parametrize("where", [(0, 1, 2, 0), (2, 0, 1, 1)])
def test_map_and_reduce_over_nodes(tmp_path, where):
    nodes = Several(tmp_path, MAP_AND_REDUCE, 3)
    try:
        for node, step in ((where[0], "merge"), (where[1], "map"), (where[3], "split")):
            nodes.hold(node, step)
        for program in [nodes.start(node, *program) for node, program in zip(where, MAP_PROGRAMS)]:
            assert ended(program)[::2] == (0, "")
        assert nodes.stop() == 0
        left = [(node, name) for node in range(3) for name in nodes.files(node) if (nodes.dir(node) / name).is_file()]
        assert left == [(where[0], "result")]
        assert (nodes.dir(where[0]) / "result").read_text() == MAP_RESULT
    finally:
        nodes.end()
