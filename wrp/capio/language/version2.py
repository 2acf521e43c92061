"""The draft of the language 2.0: `io_graph` and the rules that stand in its `output_stream`, made into steps and rules."""

from wrp.capio.language import streaming
from wrp.capio.language.plan import FILE_SYSTEM, MEMORY, ON_FILE
from wrp.capio.language.workflow import Rule, Step

KEYS = ("name", "version", "configuration", "aliases", "io_graph", "exclude")
_STORAGES = {"mem": MEMORY, "fs": FILE_SYSTEM}


def aliases(members):
    """{group: [Value]} of `aliases`."""
    return {group: value.items() for group, value in (members["aliases"].members() if "aliases" in members else {}).items()}


def read(members, names, notes):
    """(steps, rules) of the document."""
    steps, rules = [], []
    for step, value in members["io_graph"].members().items():
        if not step.strip():
            raise value.wrong("is a step without a name")
        keys = value.members(("input_stream", "output_stream"))
        inputs = names.patterns(keys["input_stream"]) if "input_stream" in keys else []
        outputs = [named for path, target in (keys["output_stream"].members() if "output_stream" in keys else {}).items()
                   for named in _target(path, target, step, names, rules, notes)]
        rules += [Rule(pattern, "consumer", step, step, where) for pattern, where in inputs]
        steps.append(Step(step, tuple(pattern for pattern, _ in inputs), tuple(pattern for pattern, _ in outputs)))
    if "exclude" in members:
        rules += [Rule(pattern, "excluded", True, "", where) for pattern, where in names.patterns(members["exclude"])]
    return steps, rules


def _target(path, value, step, names, rules, notes):
    """The patterns of one key of `output_stream`; what it says of them is appended to the rules."""
    keys = value.members(("kind", "mode", "commit", "storage", "permanent"), ("kind", "mode", "commit"))
    is_directory = keys["kind"].choice(("file", "dir")) == "dir"
    found = {"producer": step, "kind": "directory" if is_directory else "file", "mode": streaming.mode(keys["mode"], notes)}
    if str(keys["commit"].data).startswith(ON_FILE):
        raise keys["commit"].wrong("is on_file, which 2.0 has no list of files for")
    found["commit"] = streaming.commit(keys["commit"], keys, names, is_directory, value)
    if "storage" in keys:
        found["storage"] = _STORAGES[keys["storage"].choice(tuple(_STORAGES))]
    if "permanent" in keys and keys["permanent"].of(bool):
        found["permanent"] = True
    patterns = names.named(type(value)(path, value.source, value.where))
    rules += [Rule(pattern, name, item, step, where) for pattern, where in patterns for name, item in found.items()]
    return patterns
