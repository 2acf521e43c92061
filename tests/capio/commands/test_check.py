"""`capio check` and `capio graph` on files, with their exit codes."""

import json

import pytest

from wrp.capio.commands.cli import main

PIPE = {"name": "pipe", "permanent": ["result"], "home_node_policies": {"hashing": ["part*"], "manual": [{"name": ["result"], "app_node": "make"}]}, "IO_Graph": [
    {"name": "make", "output_stream": ["part*", "log", "flag", "out/"], "streaming": [
        {"name": ["part*"], "committed": "on_close", "mode": "no_update"}, {"name": ["log"], "committed": "on_file", "file_deps": ["flag"], "mode": "update"},
        {"dirname": ["out"], "committed": "on_n_files", "n_files": 3, "mode": "no_update"}]},
    {"name": "join", "input_stream": ["part?", "?art9", "log", "out", "config"], "output_stream": ["result"]}]}
STUCK = {"name": "knot", "IO_Graph": [{"name": "a", "input_stream": ["g"], "output_stream": ["f"]}, {"name": "b", "input_stream": ["f"], "output_stream": ["g"]}]}


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Runs a command on a document; (exit code, standard output, standard error)."""
    monkeypatch.setenv("CAPIO_DIR", "/d")
    path = tmp_path / "w.json"

    def run(command, document, *options):
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        code = main([command, str(path), *options])
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("line", [
    "/d/part*: written by make, read by join; commits when it was closed by make, is read as it is written; goes at the end; its home is a node by its name",
    "/d/log: written by make, read by join; commits when /d/flag is committed, is read after that; goes at the end",
    "/d/out: written by make, read by join; commits when it has 3 entries, its entries are seen as they appear; goes at the end",
    "/d/result: written by join, read by no step; commits at the end of join, is read after that; stays at the end; its home is the node where make runs",
    "/d/?art9: written by make, read by join; each file by the rule of its own name",
    "/d/config: written by no step, read by join; the plain file system",
    "warning: /d/config is read by join and written by no step: nobody waits for it",
    "warning: /d/flag is written by make, read by no step, and not permanent: it goes at the end unread"])
def test_every_name_is_explained(run, line):
    code, out, _ = run("check", PIPE)
    assert code == 0 and line in out.splitlines()


def test_the_explanation_as_json(run):
    code, out, _ = run("check", PIPE, "--json")
    told = json.loads(out)
    part = next(file for file in told["files"] if file["path"] == "/d/part*")
    assert code == 0 and told["steps"] == ["make", "join"] and told["warnings"]
    assert (part["writers"], part["readers"], part["commit"], part["mode"]) == (["make"], ["join"], "on_close", "no_update")
    assert part["origins"]["commit"] == "IO_Graph[0].streaming[0].name[0]"


@pytest.mark.parametrize(("change", "warning"), [
    ({"streaming": [{"name": ["a?"], "mode": "update"}, {"name": ["?b"], "mode": "no_update"}]}, "give one path a different mode: the later wins"),
    ({"streaming": [{"name": ["/tmp/x"], "mode": "update"}]}, "/tmp/x lies outside CAPIO_DIR (/d), where nothing is watched"),
    ({"input_stream": ["q"], "streaming": [{"name": ["q"], "mode": "update"}]}, "/d/q is read by s and written by no step: nobody waits for it"),
    ({"input_stream": ["q", "z"], "streaming": [{"name": ["q"], "mode": "update", "committed": "on_file", "file_deps": ["z"]}]},
     "/d/q waits for the commit of /d/z, which no step writes"),
    ({"output_stream": ["x.tmp"]}, "/d/x.tmp is excluded (exclude[0]), so what else is said of it has no effect")])
def test_odd_things_are_warned_of(run, change, warning):
    code, out, _ = run("check", {"name": "w", "IO_Graph": [{"name": "s", **change}], "exclude": ["*.tmp"]})
    assert code == 0 and any(line.startswith("warning: ") and warning in line for line in out.splitlines()), out


def test_steps_that_wait_for_each_others_end_are_refused(run):
    code, out, err = run("check", STUCK)
    assert code == 3 and out == "" and "the steps a, b wait for each other's end and can make no progress: " in err
    assert "'b' reads /d/f of 'a' (on_termination, update); 'a' reads /d/g of 'b' (on_termination, update)" in err


@pytest.mark.parametrize("change", [{"mode": "no_update"}, {"committed": "on_close", "mode": "update"}, {"committed": "on_file", "file_deps": ["h"], "mode": "update"}])
def test_a_circle_that_may_go_on_is_a_warning(run, change):
    document = json.loads(json.dumps(STUCK))
    document["IO_Graph"][0]["streaming"] = [{"name": ["f"], **change}, {"name": ["h"], "committed": "on_close", "mode": "update"}]
    code, out, err = run("check", document)
    assert code == 0 and "warning: the steps a, b read each other's files" in out, err


def test_a_circle_through_a_file_that_waits_for_one_that_waits_for_the_end(run):
    document = json.loads(json.dumps(STUCK))
    document["IO_Graph"][0]["streaming"] = [{"name": ["f"], "committed": "on_file", "file_deps": ["h"], "mode": "update"}]
    assert run("check", document)[0] == 3


def test_a_wrong_file_is_one_sentence(run):
    code, out, err = run("check", {"name": "w", "IO_Graph": [], "excludes": []})
    assert code == 3 and out == "" and err.startswith("capio: ") and err.count("\n") == 1 and "did you mean 'exclude'?" in err
    assert run("check", "{")[0] == run("graph", "{")[0] == 3


def test_wrong_usage_is_a_sentence(capsys):
    assert main(["check"]) == main(["nothing"]) == 2
    assert "capio check --help shows how to call it" in capsys.readouterr().err


def test_the_graph_as_text_json_and_dot(run):
    _, text, _ = run("graph", PIPE)
    assert "  <- /d/part*  from make  [on_close, as it is written]" in text and "  <- /d/config  from outside" in text
    assert "  -> /d/result  for nobody" in text and "  -> /d/log  to join  [on_file, at the end of its step]" in text
    record = json.loads(run("graph", PIPE, "--json")[1])
    assert {"writer": "make", "reader": "join", "path": "/d/log", "commit": "on_file", "mode": "update", "needs_end": True} in record["links"]
    _, dot, _ = run("graph", PIPE, "--dot")
    assert dot.startswith('digraph "pipe" {') and '"step make" -> "/d/part*" [penwidth=3];' in dot and dot.rstrip().endswith("}")
    assert '"/d/flag" -> "/d/log" [style=dashed, label=commits];' in dot


def test_relative_names_count_from_the_options(run):
    assert "names count from /e" in run("check", PIPE, "--dir", "/e")[1] and "/d/sub/log" in run("check", PIPE, "--prefix", "sub")[1]
