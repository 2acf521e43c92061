"""The reader: every refusal with its sentence (invalid/*.json), the dialects, and the example of the reference's README as it is written."""

import json
from pathlib import Path

import pytest

from wrp.capio import language
from wrp.capio.language import Commit, Home
from wrp.errors import WorkflowError

INVALID = sorted((Path(__file__).parent / "invalid").glob("*.json"))
README = {"name": "my_workflow", "IO_Graph": [
    {"name": "writer", "output_stream": ["file0.dat", "file1.dat", "file2.dat"], "streaming": [
        {"name": ["file0.dat"], "committed": "on_close"}, {"name": ["file1.dat"], "committed": "on_close", "mode": "no_update"},
        {"name": ["file2.dat"], "committed": "on_termination"}]},
    {"name": "reader", "input_stream": ["file0.dat", "file1.dat", "file2.dat"]}]}


def parsed(streaming=(), **more):
    return language.parse({"name": "w", "IO_Graph": [{"name": "a", "input_stream": ["in"], "output_stream": ["*"], "streaming": list(streaming)},
                                                     {"name": "b", "input_stream": ["*"]}], **more}, "/d")


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_refusal_has_the_expected_sentence(path, tmp_path):
    case = json.loads(path.read_text())
    target = tmp_path / "workflow.json"
    target.write_text(json.dumps(case["document"]))
    with pytest.raises(WorkflowError) as caught:
        language.load(target, "/d")
    assert case["expect"] in str(caught.value) and str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [
    ("{", ":1:2: this is not JSON: "), ('{"name": "a", "name": "b"}', "the key 'name' is there twice in one object"),
    ('{"name": NaN}', "NaN is not JSON"), ("[" * 100_000, "is nested too deeply"), ("", ":1:1: this is not JSON")])
def test_what_is_not_json_is_refused(tmp_path, text, expected):
    path = tmp_path / "w.json"
    path.write_text(text)
    with pytest.raises(WorkflowError, match="w.json") as caught:
        language.load(path, "/d")
    assert expected in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_what_cannot_be_read_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "w.json").write_bytes(content)
    with pytest.raises(WorkflowError, match="w.json: can't be read: "):
        language.load(tmp_path / "w.json", "/d")


def test_the_readme_example_works_as_written():
    workflow = language.parse(README, "/d")
    found = [(plan.commit_text, plan.mode, plan.producers, plan.consumers) for plan in map(workflow.look, ("file0.dat", "file1.dat", "file2.dat"))]
    assert found == [("on_close", "update", ("writer",), ("reader",)), ("on_close", "no_update", ("writer",), ("reader",)),
                     ("on_termination", "update", ("writer",), ("reader",))]
    assert not workflow.look("file3.dat").waits


@pytest.mark.parametrize(("rule", "commit", "mode"), [
    ({"name": "f", "committed": "on_close"}, Commit("on_close"), "update"),
    ({"name": ["f"], "mode": "append", "committed": "on_close"}, Commit("on_close"), "no_update"),
    ({"name": ["f"], "mode": "noupdate", "batch_size": 3}, Commit("on_termination"), "no_update"),
    ({"name": ["f"], "committed": "on_close:3", "mode": "update"}, Commit("on_close", 3), "update"),
    ({"name": ["f"], "committed": "on_file:g"}, Commit("on_file", deps=("/d/g",)), "update"),
    ({"name": ["f"], "committed": "on_file", "file_deps": ["g", "h", "g"]}, Commit("on_file", deps=("/d/g", "/d/h")), "update"),
    ({"name": ["f"], "committed": "on_file", "files_deps": ["g"]}, Commit("on_file", deps=("/d/g",)), "update"),
    ({"dirname": ["f"], "committed": "on_n_files", "n_files": 4}, Commit("on_n_files", n_files=4), "update"),
    ({"dirname": ["f"], "committed": "n_files:4"}, Commit("on_n_files", n_files=4), "update"),
    ({"name": ["f"]}, Commit("on_termination"), "update")])
def test_rules_in_the_words_of_all_dialects(rule, commit, mode):
    plan = parsed([rule]).look("f")
    assert Commit(plan.commit, plan.closes, plan.deps, plan.n_files) == commit
    assert plan.mode == mode and plan.is_directory == ("dirname" in rule)


def test_what_was_read_leniently_is_noted():
    notes = "\n".join(parsed([{"name": "f", "mode": "append", "batch_size": 1, "n_files": 3}, {"name": ["g"]}]).notes)
    for expected in ("'append' is read as 'no_update'", "batch_size has no effect", "n_files has no effect: it counts only with committed 'on_n_files'",
                     "IO_Graph[0].streaming[1]: without 'mode'"):
        assert expected in notes


def test_aliases_stand_for_their_files_everywhere():
    workflow = language.parse({
        "name": "w", "aliases": [{"group_name": "g", "files": ["a", "h"]}, {"group_name": "h", "files": ["b*"]}], "permanent": ["h"], "exclude": ["x", "y"],
        "IO_Graph": [{"name": "p", "output_stream": ["g"], "streaming": [{"name": ["g"], "committed": "on_close", "mode": "no_update"},
                                                                         {"name": ["z"], "committed": "on_file", "file_deps": ["a"]}]},
                     {"name": "c", "input_stream": ["g"]}]}, "/d")
    assert workflow.look("a").producers == ("p",) and workflow.look("b1").consumers == ("c",) and workflow.look("b1").commit == "on_close"
    assert workflow.look("b1").permanent and not workflow.look("a").permanent and not workflow.look("g").producers


def test_storage_and_homes():
    for key in ("home_node_policies", "home_node_policy"):
        workflow = parsed(storage={"memory": ["m*"], "fs": ["m1"]}, **{key: {"hashing": ["h"], "create": ["c"], "manual": [{"name": ["n"], "app_node": "b"}]}})
        assert [workflow.look(name).storage for name in ("m2", "m1", "z")] == ["memory", "fs", "fs"]
        assert [workflow.look(name).home for name in "hcnz"] == [Home("hashing"), Home("create"), Home("manual", "b"), Home("create")]


@pytest.mark.parametrize(("version", "is_noted"), [(1.1, False), ("1.1", True), (1.0, False), (1, False), ("1.0", True)])
def test_versions(version, is_noted):
    workflow = parsed(version=version)
    assert workflow.version in ("1.0", "1.1") and any("version" in note for note in workflow.notes) is is_noted


def test_the_configuration_of_1_1_is_read(tmp_path):
    (tmp_path / "conf.toml").write_text("[capiocl]\nstore_all_in_memory = true\n[monitor.mcast]\ndelay_ms = 3\n")
    path = tmp_path / "w.json"
    path.write_text(json.dumps({**README, "version": 1.1, "configuration": "conf.toml"}))
    workflow = language.load(path, "/d")
    assert workflow.configuration == {"store_all_in_memory": True, "monitor.mcast.delay_ms": 3}
    (tmp_path / "conf.toml").write_text("[monitor.mcast]\ndelay = 3\n")
    with pytest.raises(WorkflowError, match="conf.toml: the key 'monitor.mcast.delay' is not known; did you mean 'monitor.mcast.delay_ms'"):
        language.load(path, "/d")
    (tmp_path / "conf.toml").write_text("[monitor")
    with pytest.raises(WorkflowError, match="conf.toml: this is not TOML: "):
        language.load(path, "/d")


def test_the_draft_of_2_0():
    workflow = language.parse({"version": "2.0", "name": "w", "aliases": {"g": ["x", "y"]}, "exclude": ["t"], "io_graph": {
        "a": {"output_stream": {"g": {"kind": "file", "mode": "no_update", "commit": "on_close:2", "storage": "mem", "permanent": True},
                                "d": {"kind": "dir", "mode": "update", "commit": "n_files:3"}}},
        "b": {"input_stream": ["g", "d"]}}}, "/d")
    x, d = workflow.look("x"), workflow.look("d")
    assert (x.commit_text, x.mode, x.storage, x.permanent, x.producers, x.consumers) == ("on_close:2", "no_update", "memory", True, ("a",), ("b",))
    assert (d.commit, d.n_files, d.is_directory) == ("on_n_files", 3, True) and workflow.look("t").excluded
    assert [step.name for step in workflow.steps] == ["a", "b"]


@pytest.mark.parametrize(("prefix", "path"), [(None, "/d/f"), ("sub", "/d/sub/f"), ("/other", "/other/f")])
def test_relative_names_count_from_the_prefix(prefix, path):
    workflow = language.parse({"name": "w", "IO_Graph": [{"name": "a", "output_stream": ["f", "/abs/g"]}]}, "/d", prefix)
    assert workflow.look(path).producers == ("a",) and workflow.look("/abs/g").producers == ("a",)


def test_without_a_file_nobody_waits():
    workflow = language.empty("w", "/d")
    assert not workflow.look("f").waits and workflow.steps == ()
