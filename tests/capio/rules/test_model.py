"""A thousand random small workflows: every answer, every wait and every commit of the machine is what the naive world says."""

import json

import pytest
from capio import flow_program
from capio.flows import flow
from capio.rules.model import Model

from wrp.capio import language
from wrp.capio.rules import replay


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_random_workflows_are_as_the_naive_world_says(first):
    for seed in range(first, first + 100):
        try:
            Model(flow(seed)).run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_the_workflows_have_everything_in_them():
    played = [Model(flow(seed)).run() for seed in range(150)]
    calls = {call[0] for model in played for scripts in model.flow.scripts.values() for script in scripts for call in script}
    assert calls == {"open", "write", "close", "rename", "mkdir", "read", "stat", "list", "exit", "die"}
    rules = {(spec.commit, spec.mode) for model in played for spec in model.flow.specs.values()}
    assert len(rules) == 8
    assert sum(model.circles for model in played) > 10 and sum(model.failures for model in played) > 50 and sum(model.waited for model in played) > 200
    assert sum(len(model.reads) for model in played) > 100


def test_a_log_gives_the_same_machine_again():
    for seed in range(40):
        model = Model(flow(seed)).run()
        again = replay(language.parse(model.flow.document, "/d"), json.loads(json.dumps(model.log)))
        assert (again.files(), again.steps()) == (model.machine.files(), model.machine.steps())


def test_workflows_that_do_not_fail_read_whole_files():
    for seed in range(1000, 1100):
        model = Model(flow(seed, can_fail=False)).run()
        for process_step, path, size, got in model.reads:
            spec = model.flow.spec(path)
            assert size == got or process_step in spec.producers or spec.closes > 1 or len(spec.producers) > 1 or spec.commit == "on_file", (seed, path)


def test_scripts_run_as_programs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = [["mkdir", "d"], ["open", "d/f", 1], ["write", 1, 100], ["close", 1], ["rename", "d/f", "g"], ["read", "g"], ["list", "d"], ["stat", "g"],
              ["stat", "none"], ["exit", 0]]
    told, end = flow_program.run(script)
    assert told == [["read", "g", ("1:" * 50)], ["list", "d", 0], ["stat", "g", True], ["stat", "none", "errno 2"]] and end == ("exit", 1)
    assert flow_program.run([["exit", 3]]) == ([], ("exit", 3))


def test_files_told_of_at_once_are_as_those_told_of_step_by_step():
    joined = 0
    for seed in range(200):
        model = Model(flow(seed)).run()
        log, found = [], 0
        for record in model.log:
            log.append(record)
            found += _join(log)
        one, other = (replay(language.parse(model.flow.document, "/d"), records) for records in (model.log, log))
        assert (one.files(), one.steps()) == (other.files(), other.steps()), seed
        joined += found
    assert joined > 100


def _join(log):
    """Makes one Written of Created, Opened, Grown… and Closed at the log's end; whether it did."""
    last, end = log[-1], len(log) - 1
    if last[0] != "Closed" or last[1]["is_lost"]:
        return False
    begin = end - 1
    while begin >= 0 and log[begin][0] == "Grown":
        begin -= 1
    nbytes = max((record[1]["nbytes"] for record in log[begin + 1:end]), default=0)
    if begin < 1 or [record[0] for record in log[begin - 1:begin + 1]] != ["Created", "Opened"]:
        return False
    created, opened = log[begin - 1][1], log[begin][1]
    if opened["description"] != last[1]["description"] or any(record[1]["path"] != opened["path"] for record in (log[begin - 1], *log[begin + 1:end])):
        return False
    log[begin - 1:] = [["Written", {"path": created["path"], "step": created["step"], "nbytes": nbytes, "node": created["node"], "at": last[1]["at"]}]]
    return True
