"""The reader against the reference's own engine (py_capio_cl) on generated documents; docs/capio-language.md lists the deliberate differences.

The engine gives a path the whole entry of its longest pattern, as the entry was when the path was first named, so rules are compared for
paths that one pattern names. Producers and consumers, which it looks up in all patterns, are compared for every path.
"""

import copy

import pytest
from capio.language.reference import Reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wrp.capio import language
from wrp.capio.language.patterns import joined
from wrp.errors import WorkflowError

SAME_REFERENCE = [HealthCheck.function_scoped_fixture]      # it answers the same document the same way
NAMES = ["a", "b", "ab", "abc", "x.d", "y.d", "d/a", "a*", "*.d", "?b", "[xy].d", "d/*", "*c", "b?", "*"]
PATHS = ["a", "b", "ab", "abc", "bc", "x.d", "y.d", "z.d", "d/a", "d/b", "d/x.d", "q", "abcc"]
STEPS = ["s", "t", "u"]
# sentences of refusals that the engine has no word for: each is a difference that the document lists
STRICTER = ("wait for each other's commit", "is a pattern; on_file", "or more", "names '", "a part of itself", "a second time", "no step of IO_Graph",
            "goes up", "is empty", "NUL")

names = st.lists(st.sampled_from(NAMES), max_size=3, unique=True)
modes = st.sampled_from(["update", "no_update"])
file_rules = st.fixed_dictionaries({"name": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True), "mode": modes, "committed": st.sampled_from(
    ["on_close", "on_close:2", "on_close:17", "on_termination"])})
dep_rules = st.fixed_dictionaries({"name": st.lists(st.sampled_from(NAMES[:-1]), min_size=1, max_size=2, unique=True), "mode": modes, "committed": st.just("on_file"),
                                   "file_deps": st.lists(st.sampled_from(["dep1", "dep2"]), min_size=1, max_size=2, unique=True)})
folder_rules = st.fixed_dictionaries({"dirname": st.just(["folder"]), "mode": modes, "committed": st.just("on_n_files"), "n_files": st.integers(1, 9)})
applications = st.lists(st.fixed_dictionaries({"name": st.sampled_from(STEPS), "input_stream": names, "output_stream": names},
                                              optional={"streaming": st.lists(file_rules | dep_rules | folder_rules, max_size=3)}),
                        max_size=3, unique_by=lambda application: application["name"])
documents = st.fixed_dictionaries({"name": st.just("w"), "IO_Graph": applications},
                                  optional={"permanent": names, "exclude": names, "storage": st.fixed_dictionaries({"memory": names, "fs": st.just([])})})


@pytest.fixture(scope="module", autouse=True)
def reference_is_there():
    pytest.importorskip("py_capio_cl", reason="py_capio_cl, the reference's engine, has no wheel for this Python")


@pytest.fixture
def reference():
    with Reference() as found:
        yield found


def patterns_of(document):
    """All names that the document uses for paths."""
    found = {name for application in document["IO_Graph"] for key in ("input_stream", "output_stream") for name in application[key]}
    found |= {name for application in document["IO_Graph"] for rule in application.get("streaming", ()) for name in rule.get("name", rule.get("dirname"))}
    return found.union(*(document.get(key, ()) for key in ("permanent", "exclude")), document.get("storage", {}).get("memory", ()))


def rules_of(document, path):
    """How many rules are about a path."""
    rules = [rule for application in document["IO_Graph"] for rule in application.get("streaming", ())]
    return sum(any(joined(name, "/r").matches(f"/r/{path}") for name in rule.get("name", ())) for rule in rules)


@settings(max_examples=100, deadline=None, suppress_health_check=SAME_REFERENCE)
@given(document=documents)
def test_paths_that_one_pattern_names_have_the_same_rules(reference, document):
    workflow, told = language.parse(document, "/r"), reference.ask(document, PATHS)
    patterns = [joined(name, "/r") for name in patterns_of(document)]
    for path in PATHS:
        if sum(pattern.matches(f"/r/{path}") for pattern in patterns) > 1 or any(pattern.matches("/r/d") for pattern in patterns):
            continue
        ours, theirs = workflow.look(path), told[path]
        assert (ours.commit, ours.mode) == (theirs["commit"], theirs["mode"]), path
        assert ours.closes == max(1, theirs["closes"]), path
        if rules_of(document, path) == 1:       # of a second rule the engine keeps the first one's files
            assert sorted(ours.deps) == [f"/r/{dep}" for dep in theirs["deps"]], path
        assert (ours.permanent, ours.excluded, ours.storage == "memory") == (theirs["permanent"], theirs["excluded"], theirs["in_memory"]), path


@settings(max_examples=100, deadline=None, suppress_health_check=SAME_REFERENCE)
@given(document=documents)
def test_every_pattern_makes_producers_and_consumers(reference, document):
    if any(joined(name, "/r").matches("/r/d") for name in patterns_of(document)):
        return
    workflow, told = language.parse(document, "/r"), reference.ask(document, PATHS, STEPS)
    ruled = [joined(name, "/r") for application in document["IO_Graph"] for rule in application.get("streaming", ()) for name in rule.get("name", ())]
    for path in PATHS:
        plan = workflow.look(path)
        assert list(plan.consumers) == told[path]["consumers"], path
        if not any(pattern.matches(f"/r/{path}") for pattern in ruled):     # ours counts a step with a rule where nobody else writes
            assert list(plan.producers) == told[path]["producers"], path


def test_counts_of_directories(reference):
    document = {"name": "w", "IO_Graph": [{"name": "s", "input_stream": [], "output_stream": ["folder"], "streaming": [
        {"dirname": ["folder"], "committed": "on_n_files", "n_files": 7, "mode": "no_update"}]}]}
    plan, told = language.parse(document, "/r").look("folder"), reference.ask(document, ["folder"])["folder"]
    assert (plan.commit, plan.n_files, plan.is_directory) == (told["commit"], told["n_files"], told["is_directory"]) == ("on_n_files", 7, True)


BROKEN = st.sampled_from([None, 7, "", "zzz", [], {}, [None], [""], "on_n_files", "on_close:0", "on_close:x", -3, True, "append", "on_file"])


@st.composite
def broken_documents(draw):
    """A document with one value replaced, one key renamed, or one key left out."""
    document = copy.deepcopy(draw(documents))
    places = []

    def walk(value):
        for key in (value if isinstance(value, dict) else range(len(value))):
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                walk(value[key])

    walk(document)
    holder, key = draw(st.sampled_from(places))
    kind = draw(st.sampled_from(["replace", "rename", "drop"]))
    if kind == "replace" or isinstance(holder, list):
        holder[key] = draw(BROKEN)
    elif kind == "rename":
        holder[key + "x"] = holder.pop(key)
    else:
        del holder[key]
    return document


@settings(max_examples=150, deadline=None, suppress_health_check=SAME_REFERENCE)
@given(document=broken_documents())
def test_what_the_reference_accepts_is_accepted_but_for_listed_differences(reference, document):
    try:
        language.parse(document, "/r")
    except WorkflowError as error:
        assert any(sentence in str(error) for sentence in STRICTER) or reference.ask(document) is None, str(error)
