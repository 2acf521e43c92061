"""The records in Python and in C are the same."""

import re
import subprocess

import pytest

from capio.served import needs_compiler
from wrp.capio import shim, wire

_HEADER = next(path for path in shim.sources() if path.name == "wire.h")


def test_numbers_are_those_of_the_header():
    named = {name: int(value) for name, value in re.findall(r"CAPIO_(\w+) = (\d+)", _HEADER.read_text())}
    assert len(named) > 15
    assert {name: getattr(wire, name) for name in named} == named
    defined = dict(re.findall(r"#define CAPIO_(\w+) (0x[0-9a-f]+|\d+)u?\b", _HEADER.read_text()))
    assert (int(defined["MAGIC"], 0), int(defined["VERSION"]), int(defined["TEXT"])) == (wire.MAGIC, wire.VERSION, wire.TEXT)
    for name in ("TABLE_HEAD", "HEADS", "SLOTS", "RINGS", "POSTS"):
        assert int(defined[name]) == getattr(wire, name)


@needs_compiler
def test_records_are_laid_out_alike(tmp_path):
    request = wire.Request(wire.WRITE, 77, -5, -(1 << 40), 1 << 41, "/päth", "b").pack()
    (tmp_path / "main.c").write_text("""#include <stdio.h>
#include "wire.h"
int main(void) {
    struct capio_request r; struct capio_reply p = {CAPIO_MAGIC, 5, CAPIO_STREAM, -1, 2, CAPIO_VERSION};
    if (fread(&r, sizeof r, 1, stdin) != 1) return 1;
    fprintf(stderr, "%x %d %d %d %d %lld %lld %u %u %zu", r.magic, r.op, r.version, r.pid, r.flags, (long long)r.a, (long long)r.b, r.path_nbytes, r.path2_nbytes,
            sizeof(struct capio_slot));
    fwrite(&p, sizeof p, 1, stdout); fwrite("no", 2, 1, stdout); return 0; }""")
    subprocess.run([shim.compiler(), "-I", str(_HEADER.parent), "-o", str(tmp_path / "main"), str(tmp_path / "main.c")], check=True)
    done = subprocess.run([tmp_path / "main"], input=request, capture_output=True, check=True)
    assert done.stderr.decode() == f"{wire.MAGIC:x} {wire.WRITE} {wire.VERSION} 77 -5 {-(1 << 40)} {1 << 41} 6 1 {wire.SLOT.size}"
    assert wire.Reply.unpack(done.stdout) == wire.Reply(5, wire.STREAM, -1, "no")
    assert wire.SLOT.size == wire.SLOT_NBYTES


@pytest.mark.parametrize("packet", [b"", b"x" * 10, b"y" * 200, wire.Request(wire.READ, path="/a").pack()[:-1]])
def test_other_packets_are_no_requests(packet):
    assert wire.Request.unpack(packet) is None


def test_a_request_survives_the_way():
    asked = wire.Request(wire.RENAME, 1, 2, 3, 4, "/a b\udcff", "/c")
    assert wire.Request.unpack(asked.pack()) == asked
