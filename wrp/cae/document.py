"""The YAML of a job file: its document, the line of each transfer, and refusals that name line and column."""

import yaml

from wrp.errors import JobFileError


def read(path):
    """(document, line of each of its transfers). JobFileError: unreadable, not YAML, or a key twice in one mapping."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise _refusal(f"{getattr(error, 'strerror', None) or error} ({path})") from None
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        _check_keys(root, path)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        raise _refusal(_marked(error, path)) from None
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        raise _refusal(f"{path}:{line}:{column}: a character that YAML doesn't allow (#x{error.character:04x})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refusal(f"{' '.join(str(error).split()) or type(error).__name__} ({path})") from None
    return data, _lines(root)


def _lines(root):
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "transfers" and isinstance(value, yaml.SequenceNode):
            return [node.start_mark.line + 1 for node in value.value]
    return []


def _check_keys(root, path):
    """YAML's loader lets the last of two equal keys win, so that a transfer would be lost without a word."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue                    # an anchor may lead back here
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _check_mapping(node, path)
        waiting.extend(part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,)))


def _check_mapping(node, path):
    first = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        line = key.start_mark.line + 1
        if first.setdefault((key.tag, key.value), key) is not key:
            earlier = first[key.tag, key.value].start_mark.line + 1
            raise _refusal(f"{path}:{line}: the key {key.value!r} is there twice in one mapping, first in line {earlier}; "
                           "take one of them out")


def _marked(error, path):
    mark = error.problem_mark or error.context_mark
    place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
    return " ".join(f"{place}: {error.problem or error.context}".split())


def _refusal(reason):
    return JobFileError(f"Failed to load OMNI file: {reason}")
