"""The table of slots when more files are streamed in a run than it has slots: who reads still sees the true ends."""

import os
import sys

import pytest

from capio.served import Flow, document, ended, needs_compiler
from wrp.capio import wire
from wrp.capio.client import Client
from wrp.capio.server.table import Table

_WRITER = "import os, time; [(os.write(fd, b'x' * 10), time.sleep(0.1)) for fd in [os.open('data/growing', os.O_CREAT | os.O_WRONLY)] for _ in range(5)]"
_LISTER = "import os, time; os.mkdir('data/many'); [(open(f'data/many/{n}', 'w').close(), time.sleep(0.1)) for n in range(5)]"


@pytest.fixture
def table(tmp_path):
    found = Table(tmp_path / "table")
    yield found
    found.close()


def test_slots_of_complete_files_are_used_again_the_oldest_first(table):
    first = [table.slot(f"/{number}") for number in range(wire.SLOTS)]
    assert sorted(first) == list(range(wire.SLOTS)) and table.slot("/one more") == -1
    table.commit("/7")
    table.commit("/3")
    table.commit("/3")
    assert [table.slot("/a"), table.slot("/b"), table.slot("/c")] == [first[7], first[3], -1]
    assert table.slot("/5") == first[5] and table.slot("/a") == first[7]


def test_a_slot_used_again_has_another_generation_and_an_end_that_moves(table, tmp_path):
    for number in range(wire.SLOTS):
        table.slot(f"/{number}")

    def seen():
        _, state, _, generation, *_ = wire.SLOT.unpack_from((tmp_path / "table").read_bytes(), wire.SLOTS_AT + slot * wire.SLOT_NBYTES)
        return state, generation

    slot = table.slot("/9")
    before = seen()
    table.forget("/9")
    assert seen() == (wire.COMMITTED, before[1])
    assert table.slot("/9") == slot and seen() == (wire.OPEN, before[1] + 1)


def test_a_file_that_grows_has_not_the_slot_of_a_complete_one_of_its_name(table, tmp_path):
    status = (tmp_path / "table").stat()
    table.publish("/f", status)
    assert table.growing("/f") != (old := table.slot("/g")) and table.growing("/f") == table.slot("/f")
    table.commit("/g")
    assert table.slot("/g") == old != table.growing("/g")


@needs_compiler
@pytest.mark.parametrize("via", ["shim", "python"])
def test_more_files_grow_at_once_than_there_are_slots(tmp_path, via):
    workflow = document(growing="on_close no_update")
    workflow["IO_Graph"][0]["output_stream"].append("filler_*")
    workflow["IO_Graph"][1]["input_stream"].append("filler_*")
    workflow["IO_Graph"][0]["streaming"] += [{"name": ["filler_*"], "committed": "on_close", "mode": "no_update"},
                                             {"dirname": ["many"], "committed": "on_n_files", "n_files": 5, "mode": "no_update"}]
    workflow["IO_Graph"][1]["input_stream"].append("many")
    flow = Flow(tmp_path, workflow)
    try:
        flow.hold("writer", "reader")
        with Client(flow.name, "writer") as client:
            for number in range(wire.SLOTS):
                reply = client.ask(wire.Request(wire.WRITE, flags=os.O_WRONLY, path=str(flow.dir / f"filler_{number}")))
            assert reply.what & wire.STREAM and reply.slot >= 0
        readers = [flow.start("reader", [sys.executable, "-c", f"import os; print({what})"], via=via)
                   for what in ("len(open('data/growing', 'rb', buffering=0).read())", "len(os.listdir('data/many'))")]
        flow.wait_waiting(2)
        for code in (_WRITER, _LISTER):
            assert flow.run("writer", [sys.executable, "-c", code], via=via)[0] == 0
        assert [int(ended(reader)[1]) for reader in readers] == [50, 5]
    finally:
        flow.end()
