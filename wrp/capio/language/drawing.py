"""A workflow's graph as text, as a JSON value, and in the language of Graphviz. Computes nothing."""

import json

from wrp.capio.language.graph import told


def text(graph):
    """The graph as lines of text: each step, what it reads and from whom, what it writes."""
    lines = [f"workflow {graph.name}: {len(graph.steps)} step(s), {len(graph.files)} name(s)"]
    for step in graph.steps:
        lines.append(f"{step.name}")
        lines += [f"  <- {link.path}  from {link.writer}  {_how(link)}" for link in graph.links if link.reader == step.name]
        lines += [f"  <- {pattern.text}  from outside" for pattern in step.inputs if not _is_linked(graph, pattern, "reader", step.name)]
        lines += [f"  -> {link.path}  to {link.reader}  {_how(link)}" for link in graph.links if link.writer == step.name]
        lines += [f"  -> {pattern.text}  for nobody" for pattern in step.outputs if not _is_linked(graph, pattern, "writer", step.name)]
    return "\n".join(lines + [told(circle) for circle in graph.circles])


def record(graph):
    """The graph as a JSON value."""
    return {"workflow": graph.name, "steps": [step.name for step in graph.steps],
            "files": [{"path": node.pattern.text, "writers": list(node.writers), "readers": list(node.readers), "commit": node.plan.commit_text,
                       "mode": node.plan.mode} for node in graph.files],
            "links": [{"writer": link.writer, "reader": link.reader, "path": link.path, "commit": link.commit, "mode": link.mode,
                       "needs_end": link.needs_end} for link in graph.links],
            "circles": [{"steps": list(circle.steps), "is_stuck": circle.is_stuck} for circle in graph.circles]}


def dot(graph):
    """The graph for Graphviz: boxes are steps, ovals are names; what is read while it is written has a thick line."""
    lines = [f"digraph {_quoted(graph.name)} {{", "  rankdir=LR;", *(f"  {_quoted('step ' + step.name)} [shape=box, label={_quoted(step.name)}];" for step in graph.steps)]
    for node in graph.files:
        path = _quoted(node.pattern.text)
        lines.append(f"  {path} [label={_quoted(node.pattern.given or node.pattern.text)}, tooltip={_quoted(node.plan.commit_text + ' ' + node.plan.mode)}];")
        style = " [penwidth=3]" if node.plan.mode == "no_update" else ""
        lines += [f"  {_quoted('step ' + name)} -> {path}{style};" for name in node.plan.producers]
        lines += [f"  {path} -> {_quoted('step ' + name)}{style};" for name in node.plan.consumers]
    lines += [f"  {_quoted(dep)} -> {_quoted(node.pattern.text)} [style=dashed, label=commits];" for node in graph.files for dep in node.plan.deps]
    return "\n".join([*lines, "}"])


def _how(link):
    return f"[{link.commit}, {'as it is written' if link.mode == 'no_update' else 'at the end of its step' if link.needs_end else 'when committed'}]"


def _is_linked(graph, pattern, side, name):
    return any(getattr(link, side) == name and (link.path == pattern.text or pattern.matches(link.path) or link.path.startswith(pattern.text + "/"))
               for link in graph.links)


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)
