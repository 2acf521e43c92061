"""Layouts of records: the same for every process, and no change of one goes unnoticed."""

import importlib
import json
import pkgutil
import subprocess
import sys
import types

import numpy as np

from harness.mpirun import job_environment
from wrp.comm import segment as segments
from wrp.comm.shape import facts, shape

# of everything that a segment holds or that crosses nodes
RECORDS = ("comm.extents", "comm.lock", "comm.mailbox", "comm.ranks.board", "comm.ring", "comm.segment", "comm.ways", "cte.layout",
           "cte.telemetry.ring", "runtime.bdev", "runtime.clients", "runtime.daemon.about", "runtime.lanes", "runtime.meeting.rooms", "runtime.meter.block",
           "runtime.meter.histogram", "runtime.pools", "runtime.postman.work", "runtime.queues", "runtime.tasks", "runtime.waiting.parking")

_SCRIPT = """
import importlib, json, sys
from wrp.comm.shape import facts
print(json.dumps({name: facts(importlib.import_module(f"wrp.{name}")) for name in sys.argv[1:]}))
"""


def test_another_interpreter_has_the_same_layouts():
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *RECORDS], env=job_environment(), capture_output=True, text=True, timeout=50, check=True)
    theirs = json.loads(done.stdout)
    for name in RECORDS:
        mine = facts(importlib.import_module(f"wrp.{name}"))
        assert mine and [list(fact) for fact in mine] == theirs[name], name


def test_every_change_of_a_constant_or_a_field_is_another_shape():
    def module(**constants):
        made = types.ModuleType("records")
        vars(made).update(constants)
        return made

    cell, other = np.dtype([("a", np.int64), ("b", np.int32)]), np.dtype([("b", np.int32), ("a", np.int64)])
    shapes = [shape(module(A=1)), shape(module(A=2)), shape(module(_A=1)), shape(module(A=1, B=0)), shape(module(A=1), more=("x",)),
              shape(module(A=1, CELL=cell)), shape(module(A=1, CELL=other))]
    assert len(set(shapes)) == len(shapes)
    assert shape(module(A=1, lower=5, TEXT="x", TABLE={})) == shapes[0]


def test_the_header_of_a_segment_keeps_its_version_as_long_as_its_layout():
    # another digest: raise segment.VERSION, then put both here
    assert (segments.VERSION, shape(segments)) == (1, 8174586218947843347)


def test_modules_with_records_are_in_the_list_or_gone():
    names = {found.name.removeprefix("wrp.") for found in pkgutil.walk_packages(__import__("wrp").__path__, "wrp.", onerror=lambda _: None)}
    assert set(RECORDS) <= names
