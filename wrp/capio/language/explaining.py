"""What a workflow's file means, in sentences: for each name who writes it, who reads it and when, and warnings about what is odd."""

from wrp.capio.language import graph as graphs
from wrp.capio.language.plan import NO_UPDATE, ON_CLOSE, ON_FILE, ON_N_FILES


def explain(workflow):
    """[(FileNode, sentence)] of all names, in the order of the file."""
    return [(node, _sentence(node)) for node in graphs.of(workflow).files]


def warnings(workflow):
    """Sentences about what is allowed and most likely not meant."""
    graph = graphs.of(workflow)
    found = [told for node in graph.files for told in _of_node(workflow, node)]
    found += _shadowed(workflow) + [graphs.told(circle) for circle in graph.circles]
    return list(dict.fromkeys(found))


def commits(plan):
    """When a file commits, e.g. "commits when it was closed 3 times by writer"."""
    who = " and ".join(plan.producers)
    if plan.commit == ON_CLOSE:
        what = "a file in it" if plan.is_directory else "it"
        return f"commits when {what} was closed {f'{plan.closes} times ' if plan.closes > 1 else ''}by {' or '.join(plan.producers)}"
    if plan.commit == ON_FILE:
        return f"commits when {' and '.join(plan.deps)} {'are' if len(plan.deps) > 1 else 'is'} committed"
    return f"commits when it has {plan.n_files} entries" if plan.commit == ON_N_FILES else f"commits at the end of {who}"


def fires(plan):
    """When a reader gets it."""
    if plan.mode == NO_UPDATE:
        return "its entries are seen as they appear" if plan.is_directory else "is read as it is written"
    return "is listed after that" if plan.is_directory else "is read after that"


def _sentence(node):
    plan = node.plan
    if plan.excluded:
        return f"{node.pattern.text}: excluded, the plain file system"
    who = f"{node.pattern.text}: written by {', '.join(node.writers) or 'no step'}, read by {', '.join(node.readers) or 'no step'}"
    if not plan.producers:
        return f"{who}; {'each file by the rule of its own name' if node.writers else 'the plain file system'}"
    return f"{who}; {commits(plan)}, {fires(plan)}; {'stays' if plan.permanent else 'goes'} at the end{_home(plan)}"


def _home(plan):
    if plan.home.policy == "create":
        return ""
    return f"; its home is {'a node by its name' if plan.home.policy == 'hashing' else f'the node where {plan.home.app} runs'}"


def _of_node(workflow, node):
    path, plan = node.pattern.text, node.plan
    if not path.startswith(workflow.capio_dir.rstrip("/") + "/") and path != workflow.capio_dir:
        yield f"{path} lies outside CAPIO_DIR ({workflow.capio_dir}), where nothing is watched"
    if plan.excluded:
        yield f"{path} is excluded ({plan.origins['excluded'][1]}), so what else is said of it has no effect"
    elif node.readers and not node.writers:
        yield f"{path} is read by {', '.join(node.readers)} and written by no step: nobody waits for it"
    elif node.writers and not node.readers and not plan.permanent:
        yield f"{path} is written by {', '.join(node.writers)}, read by no step, and not permanent: it goes at the end unread"
    elif not node.writers and not node.readers:
        yield f"{path} has a rule, and no step writes or reads it"
    for dep in plan.deps:
        if not workflow.look(dep).producers:
            yield f"{path} waits for the commit of {dep}, which no step writes"


def _shadowed(workflow):
    """Pairs of rules that say different things of one path with equal weight: the later wins."""
    rules = [rule for rule in workflow.rules if rule.property in ("commit", "mode", "kind", "storage", "home")]
    found = []
    for at, late in enumerate(rules):
        for early in rules[:at]:
            if early.property == late.property and early.value != late.value and early.pattern.rank == late.pattern.rank and early.pattern.overlaps(late.pattern):
                found.append(f"{early.where} ({early.pattern.text}) and {late.where} ({late.pattern.text}) give one path a different "
                             f"{late.property}: the later wins")
    return found
