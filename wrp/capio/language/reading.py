"""From the file of a workflow to its `Workflow`: finds the version, reads it, and checks what only the whole can show."""

import os

from wrp.capio.language import document, version1, version2
from wrp.capio.language.names import Names
from wrp.capio.language.values import Value
from wrp.capio.language.workflow import Workflow

VERSIONS = ("1.0", "1.1", "2.0")


def load(path, capio_dir, prefix=None):
    """The Workflow that a file describes. `capio_dir`: the folder that is watched; relative names count from `prefix`, which
    counts from `capio_dir`, and is it by default. WorkflowError: file, JSON path, what is wrong and the nearest known key."""
    return parse(document.read(path), capio_dir, prefix, os.fspath(path))


def parse(data, capio_dir, prefix=None, source="the workflow"):
    """As `load`, of a JSON value that was read from `source`."""
    capio_dir = os.path.abspath(capio_dir)
    folder = os.path.normpath(os.path.join(capio_dir, prefix or ""))
    whole, notes = Value(data, source), []
    members = whole.members()
    version = _version(members, notes)
    module = version2 if version == "2.0" else version1
    graph = "io_graph" if version == "2.0" else "IO_Graph"
    whole.members((*module.KEYS, *getattr(module, "OLD_KEYS", ())), ("name", graph))
    name = members["name"].text()
    names = Names(folder, module.aliases(members))
    steps, rules = version2.read(members, names, notes) if version == "2.0" else version1.Reader(names, notes).read(members)
    found = _configuration(members, source, notes)
    workflow = Workflow(name, capio_dir, version, source, tuple(steps), tuple(rules), found, tuple(notes))
    _check_deps(workflow, whole)
    return workflow


def empty(name, capio_dir):
    """A Workflow without rules: nobody ever waits."""
    return Workflow(name, os.path.abspath(capio_dir))


def _version(members, notes):
    value = members.get("version")
    if value is None:
        return "2.0" if "io_graph" in members else "1.0"
    text = str(value.data) if isinstance(value.data, (str, int, float)) and not isinstance(value.data, bool) else ""
    text = text if "." in text else f"{text}.0"
    if text not in VERSIONS:
        raise value.wrong(f"is {value.data!r}; known are {', '.join(VERSIONS)}")
    if isinstance(value.data, str) != (text == "2.0"):
        notes.append(f"version is read as {text}, though it should be {'a text' if text == '2.0' else 'a number'}")
    return text


def _configuration(members, source, notes):
    if "configuration" not in members:
        return {}
    path = os.path.join(os.path.dirname(source), members["configuration"].text())
    found, said = document.configuration(path)
    notes += said
    return found


def _check_deps(workflow, whole):
    """Refuse files that wait for each other's commit. Those waited for have plain names, so all circles are met from them."""
    done = set()
    for rule in workflow.rules:
        for dep in rule.value.deps if rule.property == "commit" else ():
            circle = _circle(workflow, dep, (), done)
            if circle:
                raise whole.wrong(f"lets files wait for each other's commit: {' -> '.join(circle)} ({rule.where}); one of them needs a rule of its own")


def _circle(workflow, path, trail, done):
    """The circle that following `deps` from this path runs into, or None."""
    if path in trail:
        return (*trail[trail.index(path):], path)
    if path in done:
        return None
    for dep in workflow.look(path).deps:
        circle = _circle(workflow, dep, (*trail, path), done)
        if circle:
            return circle
    done.add(path)
    return None
