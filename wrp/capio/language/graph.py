"""The graph of a workflow: which steps talk through which files, and which of them wait for each other. Draws nothing."""

from dataclasses import dataclass

from wrp.capio.language.patterns import Pattern
from wrp.capio.language.plan import NO_UPDATE, ON_FILE, ON_TERMINATION, FilePlan
from wrp.errors import WorkflowError


@dataclass(frozen=True, slots=True)
class FileNode:
    """A name or pattern that steps write, read or have rules about. `writers`, `readers`: steps with a pattern that can mean the same path."""

    pattern: Pattern
    plan: FilePlan
    writers: tuple
    readers: tuple


@dataclass(frozen=True, slots=True)
class Link:
    """`writer` hands a file to `reader`. `needs_end`: nothing can be read before the writer has ended; `is_certain`: both name it without wildcards."""

    writer: str
    reader: str
    path: str
    commit: str
    mode: str
    needs_end: bool
    is_certain: bool


@dataclass(frozen=True, slots=True)
class Circle:
    """Steps that read each other's files. `is_stuck`: each of them certainly waits for the end of the next."""

    steps: tuple
    links: tuple
    is_stuck: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything of one workflow, in the order of its file."""

    name: str
    steps: tuple
    files: tuple
    links: tuple
    circles: tuple


def of(workflow):
    """The Graph of a Workflow."""
    patterns = list({pattern.text: pattern for step in workflow.steps for pattern in (*step.inputs, *step.outputs, *step.streams)}.values())
    files = tuple(_node(workflow, pattern) for pattern in patterns)
    links = tuple(sorted(set(_links(workflow)), key=lambda link: (link.writer, link.reader, link.path)))
    stuck = [link for link in links if link.needs_end and link.is_certain]
    circles = [Circle(names, _among(names, stuck), True) for names in _circles(workflow.steps, stuck)]
    known = {circle.steps for circle in circles}
    circles += [Circle(names, _among(names, links), False) for names in _circles(workflow.steps, links) if names not in known]
    return Graph(workflow.name, workflow.steps, files, links, tuple(circles))


def refuse_stuck(workflow):
    """WorkflowError if steps certainly wait for each other's end."""
    for circle in of(workflow).circles:
        if circle.is_stuck:
            raise WorkflowError(f"{workflow.source or workflow.name}: {told(circle)}")


def told(circle):
    """A sentence about a circle."""
    each = "; ".join(f"{link.reader!r} reads {link.path} of {link.writer!r} ({link.commit}, {link.mode})" for link in circle.links)
    if circle.is_stuck:
        return f"the steps {', '.join(circle.steps)} wait for each other's end and can make no progress: {each}"
    return f"the steps {', '.join(circle.steps)} read each other's files, and go on only if each finds its part in time: {each}"


def _node(workflow, pattern):
    return FileNode(pattern, workflow.look(pattern.text), _naming(workflow, pattern, lambda step: _made(workflow, step)),
                    _naming(workflow, pattern, lambda step: step.inputs))


def _naming(workflow, pattern, patterns):
    return tuple(step.name for step in workflow.steps if any(meet(pattern, other) for other in patterns(step)))


def _made(workflow, step):
    """What a step writes: what it says so of, and what its rules are about where no step says so and it doesn't read it."""
    said = [pattern for other in workflow.steps for pattern in other.outputs] + list(step.inputs)
    return (*step.outputs, *(pattern for pattern in step.streams if not any(pattern.overlaps(other) for other in said)))


def _links(workflow):
    for writer in workflow.steps:
        for reader in workflow.steps:
            pairs = [(a, b) for a in _made(workflow, writer) for b in reader.inputs if meet(a, b)] if reader is not writer else ()
            for a, b in pairs:
                path = max(a, b, key=lambda pattern: (len(pattern.text), not pattern.is_glob)).text
                plan = workflow.look(path)
                if not plan.excluded and reader.name not in plan.producers:
                    yield Link(writer.name, reader.name, path, plan.commit_text, plan.mode, _needs_end(workflow, plan, writer.name), not a.is_glob and not b.is_glob)


def meet(a, b):
    """True if two patterns can mean the same path, or one a folder and the other what lies in it."""
    return a.overlaps(b) or _below(a, b) or _below(b, a)


def _below(a, b):
    return not a.is_glob and b.text.startswith(a.text.rstrip("/") + "/") and b.text[len(a.text)] == "/"


def _needs_end(workflow, plan, writer):
    if plan.mode == NO_UPDATE:
        return False
    if plan.commit == ON_FILE:
        return any(_needs_end(workflow, workflow.look(dep), writer) for dep in plan.deps)
    return plan.commit == ON_TERMINATION and writer in plan.producers


def _among(names, links):
    return tuple(link for link in links if link.writer in names and link.reader in names)


def _circles(steps, links):
    """Groups of two or more steps that reach each other over the links."""
    after = {step.name: {link.reader for link in links if link.writer == step.name} for step in steps}
    reach = {name: _reached(name, after) for name in after}
    found = {tuple(other for other in after if other in reach[name] and name in reach[other]) for name in after if name in reach[name]}
    return sorted(group for group in found if len(group) > 1)


def _reached(name, after):
    found, waiting = set(), [name]
    while waiting:
        for other in after[waiting.pop()] - found:
            found.add(other)
            waiting.append(other)
    return found
