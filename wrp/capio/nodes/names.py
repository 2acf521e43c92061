"""Events between nodes: paths relative to CAPIO_DIR, which may be another on each node, and names that are unique over the nodes."""

import dataclasses

from wrp.capio.rules import events

_NAMES = ("waiter", "process", "parent", "description")
_PATHS = ("path", "source")


def relative(path, folder):
    """What a path below the folder is called between nodes."""
    return path[len(folder) + 1:] if path.startswith(folder + "/") else path if path != folder else "."


def absolute(path, folder):
    """The path that `relative` was given, on the node with this folder."""
    return path if path.startswith("/") or not path else folder if path == "." else f"{folder}/{path}"


def packed(event, node, folder, place=None):
    """An event of a node as node 0 is told of it: a value that JSON can say. `place`: the node that has the bytes, where that is another."""
    kind, fields = events.to_record(event)
    for name in _PATHS:
        if name in fields:
            fields[name] = relative(fields[name], folder)
    for name in _NAMES:
        if fields.get(name) is not None:
            fields[name] = f"{node}:{fields[name]}"
    if "node" in fields:
        fields["node"] = node if place is None else place
    return [kind, fields]


def unpacked(record, folder, at):
    """The event, on node 0, by its own clock."""
    event = events.from_record(record)
    paths = {name: absolute(getattr(event, name), folder) for name in _PATHS if hasattr(event, name)}
    return dataclasses.replace(event, at=at, **paths)


def split(name):
    """(node, the name there) of a name; (0, name) for one of node 0 itself."""
    if not isinstance(name, str):
        return 0, name
    node, own = name.split(":")
    return int(node), int(own)
