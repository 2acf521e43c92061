"""The JSON text of a workflow, and the TOML file that 1.1 may name: read whole, refused with a sentence. Knows no rule of the language."""

import json
import os

from wrp.capio.language.values import nearest
from wrp.errors import WorkflowError

try:
    import tomllib
except ModuleNotFoundError:             # Python 3.10
    import tomli as tomllib

# the keys of the reference's runtime configuration; none has an effect here, where no monitor and no multicast is needed
CONFIGURATION = ("monitor.filesystem.enabled", "monitor.mcast.enabled", "monitor.mcast.delay_ms", "monitor.mcast.commit.ip", "monitor.mcast.commit.port",
                 "monitor.mcast.homenode.ip", "monitor.mcast.homenode.port", "dynamic_api.ip", "dynamic_api.port", "dynamic_api.enabled",
                 "workflow_name", "config_path", "resolve_path", "store_all_in_memory", "metadata_dir")


def read(path):
    """The JSON value of a file. WorkflowError: not there, not text, not JSON, or a key twice in one object."""
    text = _text(path)
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, path), parse_constant=lambda name: _no_number(name, path))
    except json.JSONDecodeError as error:
        raise WorkflowError(f"{path}:{error.lineno}:{error.colno}: this is not JSON: {error.msg}") from None
    except RecursionError:
        raise WorkflowError(f"{path}: is nested too deeply") from None


def configuration(path):
    """({dotted key: value}, notes) of a TOML file. WorkflowError: not there, not TOML, or an unknown key."""
    try:
        found = dict(_flat(tomllib.loads(_text(path)), ""))
    except tomllib.TOMLDecodeError as error:
        raise WorkflowError(f"{path}: this is not TOML: {error}") from None
    for key in found:
        if key not in CONFIGURATION:
            raise WorkflowError(f"{path}: the key {key!r} is not known{nearest(key, CONFIGURATION)}")
    return found, [f"{path}: {key} has no effect here" for key in found]


def _flat(table, prefix):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, prefix if (prefix, key) == ("", "capiocl") else f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _text(path):
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkflowError(f"{os.fspath(path)}: can't be read: {reason}") from None


def _once(pairs, path):
    found = {}
    for key, value in pairs:
        if key in found:
            raise WorkflowError(f"{path}: the key {key!r} is there twice in one object; take one of them out")
        found[key] = value
    return found


def _no_number(name, path):
    raise WorkflowError(f"{path}: {name} is not JSON")
