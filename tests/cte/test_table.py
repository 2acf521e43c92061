"""The table of the catalog: names that collide against a dict, a search during which a name moves, and a writer that died inside."""

import os
import signal

import pytest
from hypothesis import given, settings, strategies as st

from wrp.comm import atomics
from wrp.comm.lock import DeadHolder
from wrp.comm.ranks.solo import Solo
from wrp.cte import layout, table
from wrp.cte.catalog import Catalog
from wrp.cte.entries import entry_remove
from wrp.cte.records import TAG, Record, key_of

_SLOTS = 12
_HOMES = table.homes_of(_SLOTS)


def _home(name):
    return table._mark.py_func(key_of(name)[0]) & _HOMES - 1


# 20 names of three homes that follow each other: runs grow into each other, and removals move names
NAMES = [name for name in (f"name {number}" for number in range(1000)) if _home(name) in (3, 4, 5)][:20]
_TWO = [name for name in NAMES if _home(name) == 3][:2]


@pytest.fixture
def catalog():
    made = Catalog(Solo(), _SLOTS, 5)
    yield made
    made.close()


def put(catalog, *names):
    with catalog.changing("test"):
        for name in names:
            catalog.put(Record(name, TAG))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES)), max_size=120))
def test_names_of_few_homes_are_a_set(steps):
    catalog, model = Catalog(Solo(), _SLOTS, 5), set()
    for removes, name in steps:
        with catalog.changing("test"):
            if removes:
                assert (catalog.remove(name) is not None) == (name in model)
                model.discard(name)
            elif name in model or len(model) < _SLOTS:
                catalog.put(Record(name, TAG))
                model.add(name)
        assert {known for known in NAMES if catalog.has(known)} == model and len(catalog) == len(model)
    catalog.close()


def test_a_change_in_progress_hides_no_name(catalog):
    put(catalog, _TWO[0])
    atomics.add(catalog.at + layout.CHANGES, 1)
    assert table.table_find(catalog.at, *key_of(_TWO[0]))[0] > 0
    assert table.table_find(catalog.at, *key_of(_TWO[1])) == (layout.BUSY, 0)
    atomics.add(catalog.at + layout.CHANGES, 1)
    assert table.table_find(catalog.at, *key_of(_TWO[1])) == (layout.ABSENT, 0)


def test_a_name_that_slips_past_a_reader_is_found_at_the_second_look(catalog, monkeypatch):
    put(catalog, *_TWO)
    slot, looks = table._slot, []

    def interrupted(at, number):
        """Between the reader's looks at the first and the second slot the name moves from there to here."""
        looks.append(number)
        if len(looks) == 2:
            with catalog.changing("test"):
                entry_remove(catalog.at, *key_of(_TWO[0]))
        return slot(at, number)

    monkeypatch.setattr(table, "_slot", interrupted)
    number, _ = table.table_find.py_func(catalog.at, *key_of(_TWO[1]))
    assert number > 0 and looks == [3, 4, 3]


def test_a_writer_that_died_inside_is_named_and_nobody_hangs(catalog):
    put(catalog, *_TWO)
    _, number = table.table_locate(catalog.at, *key_of(_TWO[0]))
    pid = os.fork()
    if pid == 0:
        with catalog.changing("test"):
            atomics.add(layout.record_at(catalog.at, number) + layout.SEQUENCE, 1)
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with pytest.raises(DeadHolder, match=f"Process {pid} died while it held"):
        catalog.find(_TWO[0])
    with pytest.raises(DeadHolder):
        catalog.scan()
    assert catalog.find(_TWO[1]).name == _TWO[1]
