"""`capio check`: says what a CAPIO-CL file means, name by name, and what in it is odd. Local."""

import json

from wrp.capio.commands.reading import workflow as read
from wrp.capio.language import explaining
from wrp.capio.language.graph import refuse_stuck


def check(args):
    """Print the explanation. WorkflowError if the file is wrong, or its steps can make no progress."""
    workflow = read(args)
    refuse_stuck(workflow)
    told = explaining.explain(workflow)
    warned = explaining.warnings(workflow)
    if args.json:
        print(json.dumps(_record(workflow, told, warned), indent=1))
        return
    print(f"workflow {workflow.name}, CAPIO-CL {workflow.version}, names count from {workflow.capio_dir}")
    print("\n".join([sentence for _, sentence in told] + [f"warning: {line}" for line in warned] + [f"note: {line}" for line in workflow.notes]))


def _record(workflow, told, warned):
    return {"workflow": workflow.name, "version": workflow.version, "dir": workflow.capio_dir, "steps": [step.name for step in workflow.steps],
            "files": [_file(node, sentence) for node, sentence in told], "warnings": warned, "notes": list(workflow.notes)}


def _file(node, sentence):
    plan = node.plan
    return {"path": node.pattern.text, "given": node.pattern.given, "is_directory": plan.is_directory, "writers": list(node.writers),
            "readers": list(node.readers), "commit": plan.commit_text, "file_deps": list(plan.deps), "n_files": plan.n_files, "mode": plan.mode,
            "permanent": plan.permanent, "excluded": plan.excluded, "storage": plan.storage, "home": plan.home.policy, "app_node": plan.home.app,
            "origins": {name: where for name, (_, where) in plan.origins.items()}, "sentence": sentence}
