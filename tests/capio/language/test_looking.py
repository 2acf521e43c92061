"""How the rules of a file decide about one path: the most specific wins, property by property, wherever it stands."""

import itertools
import random

import pytest

from wrp.capio import language
from wrp.capio.language import workflow as workflows

APPS = [{"name": "r", "input_stream": ["f1.d"]},
        {"name": "w", "output_stream": ["*"], "streaming": [
            {"name": ["f*"], "committed": "on_close", "mode": "no_update"}, {"name": ["f1*"], "committed": "on_close:2"},
            {"dirname": ["out"], "committed": "on_n_files", "n_files": 2, "mode": "no_update"}]},
        {"name": "s", "input_stream": ["f*", "out/"]}]


def of(apps, **more):
    return language.parse({"name": "w", "IO_Graph": list(apps), **more}, "/d")


@pytest.mark.parametrize("apps", list(itertools.permutations(APPS)), ids=lambda apps: "".join(app["name"] for app in apps))
def test_the_order_of_the_steps_does_not_matter(apps):
    plan = of(apps).look("f1.d")
    assert (plan.commit_text, plan.mode, plan.producers, plan.consumers) == ("on_close:2", "no_update", ("w",), ("r", "s"))
    assert plan.origins["commit"][0] == "/d/f1*" and plan.origins["mode"][0] == "/d/f*"


@pytest.mark.parametrize(("first", "second", "path", "winner"), [
    ("f", "f*", "f", 0), ("f*", "f", "f", 1), ("*", "f?", "fx", 1), ("f**", "*.d", "fa.d", 1), ("f*", "*.d", "f.d", 1), ("*.dat", "file*", "file.dat", 1),
    ("file*", "*.dat", "file.dat", 1), ("*.dat", "file", "file.dat", 0), ("????", "f*", "fabc", 0), ("a?c*", "abc?", "abcd", 1)])
def test_the_more_specific_pattern_wins(first, second, path, winner):
    rules = [{"name": [name], "committed": f"on_close:{closes}"} for closes, name in ((7, first), (8, second))]
    assert of([{"name": "w", "streaming": rules}]).look(path).closes == 7 + winner


def test_of_equals_the_later_in_the_file_wins():
    for names in (("a*", "*b"), ("*b", "a*")):
        rules = [{"name": [name], "committed": f"on_close:{number}"} for number, name in enumerate(names, 2)]
        assert of([{"name": "w", "streaming": rules}]).look("ab").closes == 3
    assert of([{"name": "w", "streaming": [{"name": ["a"], "mode": "update"}, {"name": ["a"], "mode": "no_update"}]}]).look("a").mode == "no_update"


def test_every_pattern_makes_producers_consumers_permanent_and_excluded():
    workflow = of([{"name": "p", "output_stream": ["a"]}, {"name": "q", "output_stream": ["*"]}, {"name": "c", "input_stream": ["?"]}],
                  permanent=["a*"], exclude=["*.x"])
    plan = workflow.look("a")
    assert plan.producers == ("p", "q") and plan.consumers == ("c",) and plan.permanent and not plan.excluded
    assert workflow.look("a.x").excluded and not workflow.look("a.x").waits


def test_what_no_rule_says_of_a_file_its_folder_says():
    workflow = of(APPS, permanent=["out"])
    folder, child, deep = workflow.look("out"), workflow.look("out/sub/x"), workflow.look("out/f")
    assert (folder.commit, folder.n_files, folder.is_directory, folder.consumers) == ("on_n_files", 2, True, ("s",))
    assert (child.commit_text, child.mode, child.producers, child.consumers, child.permanent) == ("on_close", "no_update", ("w",), ("s",), True)
    assert deep.commit == "on_close" and not deep.is_directory


def test_a_folder_that_waits_for_a_file_in_it_does_not_make_that_wait_for_itself():
    workflow = of([{"name": "w", "output_stream": ["d"], "streaming": [{"dirname": ["d"], "committed": "on_file", "file_deps": ["d/done"]}]},
                   {"name": "r", "input_stream": ["d"]}])
    assert workflow.look("d/done").commit == "on_close" and workflow.look("d/x").deps == ("/d/d/done",)


def test_a_plain_file_that_a_rule_of_directories_meets_commits_when_it_is_closed():
    workflow = of([{"name": "w", "output_stream": ["o*"], "streaming": [{"dirname": ["o*"], "committed": "on_n_files", "n_files": 3}]}])
    assert workflow.look("o1", is_directory=False).commit == "on_close"
    assert workflow.look("o1").n_files == workflow.look("o1", is_directory=True).n_files == 3


def test_a_step_with_rules_makes_their_files_unless_others_do():
    rule = {"name": ["f"], "committed": "on_close"}
    assert of([{"name": "w", "streaming": [rule]}]).look("f").producers == ("w",)
    assert of([{"name": "w", "output_stream": ["f"]}, {"name": "r", "input_stream": ["f"], "streaming": [rule]}]).look("f").producers == ("w",)
    assert of([{"name": "r", "input_stream": ["f"], "streaming": [rule]}]).look("f").producers == ()
    deps = {"name": ["f"], "committed": "on_file", "file_deps": ["g"]}
    assert of([{"name": "w", "output_stream": ["f"], "streaming": [deps]}]).look("g").producers == ("w",)


def test_a_slash_at_the_end_means_a_directory():
    workflow = of([{"name": "w", "output_stream": ["d/", "e"]}])
    assert workflow.look("d").is_directory and workflow.look("d/").path == "/d/d" and not workflow.look("e").is_directory


def test_a_step_listed_twice_is_one_step():
    workflow = of([{"name": "w", "output_stream": ["a"]}, {"name": "w", "output_stream": ["b"]}])
    assert [step.name for step in workflow.steps] == ["w"] and len(workflow.step("w").outputs) == 2 and workflow.step("x") is None


def test_plans_are_remembered_and_not_without_bound(monkeypatch):
    monkeypatch.setattr(workflows, "MOST_REMEMBERED", 5)
    workflow = of(APPS)
    names = [f"f{number}" for number in range(20)]
    plans = {name: workflow.look(name) for name in names}
    random.Random(1).shuffle(names)
    assert all(workflow.look(name) == plans[name] for name in names)
    assert len(workflow._plans) <= 7


def test_plans_of_files_alike_are_those_that_each_would_get_alone():
    dice = random.Random(3)
    names = ["a*", "*b", "d/*", "d", "ab", "d/e/*", "?"]
    for _ in range(60):
        rules = [{"name": dice.sample(names, 2), "committed": dice.choice(["on_close", "on_close:2", "on_file:ab"]), "mode": "no_update"} for _ in range(2)]
        rules = [rule for rule in rules if rule["committed"] != "on_file:ab" or not {"a*", "*b", "ab"} & set(rule["name"])]
        apps = [{"name": "w", "output_stream": dice.sample(names, 2), "streaming": rules}, {"name": "r", "input_stream": dice.sample(names, 2)}]
        shared, alone = of(apps), [of(apps) for _ in range(8)]
        for path, other in zip(("a1", "a2", "d/x", "d/y", "d/e/z", "xb", "ab", "q"), alone):
            found = shared.look(path)
            assert (found, found.origins) == (other.look(path), other.look(path).origins)
