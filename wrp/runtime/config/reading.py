"""Reads a configuration file against the schema and refuses what doesn't fit, with file, line and key. Chooses no file."""

import difflib
import math
from types import MappingProxyType

import yaml

from wrp.comm.sizes import format_size, parse_size
from wrp.errors import ConfigError, UsageError
from wrp.runtime.config import keys
from wrp.runtime.config.kinds import kind_of

_BUILT_IN = {"bdev", "chimaera_bdev", "clio_bdev", "admin", "chimaera_admin", "clio_admin",
             "wrp_cte_core", "clio_cte_core", "wrp_cae_core", "clio_cae_core"}
_STORES = {"wrp_cte_core", "clio_cte_core"}         # their entry holds the store's keys, as the reference writes them
_STORE_KEYS = {"storage", "dpe", "targets", "performance", "gpu_metadata_cache"}
_FOLDER = keys.Key("folder", "text", "", "folder of the store that a daemon serves")
_TYPES = {"int": int, "number": (int, float), "bool": bool, "text": str}


class Reader:
    """The keys that a file sets: `values` and `origins` by key path, the latter also of entries, e.g. "compose[0].pool_id". Raises ConfigError."""

    def __init__(self, path):
        self._path = path
        self._maker = yaml.SafeLoader("")
        self._within = ""               # the entry of a list that is read, for messages
        self.values, self.origins = {}, {}
        root = self._root()
        if root is not None:
            self._section(root, keys.of_file(), "", self._take)

    def _root(self):
        try:
            with open(self._path, encoding="utf-8") as file:
                return yaml.compose(file, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{self._path}:{mark.line + 1}" if mark else self._path
            raise ConfigError(f"{where}: this is not YAML: {getattr(error, 'problem', None) or error}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"configuration file {self._path} can't be read: {error}") from error

    # walking

    def _section(self, node, schema, prefix, take, extra=None):
        """Give `take(key, node, path)` every key of a mapping; `extra(name, node)` may take one the schema doesn't know."""
        for name, child, line in self._pairs(node, prefix):
            path = prefix + name
            if path in schema:
                take(schema[path], child, line)
            elif any(known.startswith(path + ".") for known in schema):
                self._section(child, schema, path + ".", take)
            elif extra is None or not extra(name, child):
                raise ConfigError(f"{self._path}:{line}: unknown key {self._within + path!r}{nearest(path, schema)}")

    def _pairs(self, node, prefix):
        """(name, node, line) of a mapping; nothing of an empty one."""
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return
        name = (self._within + prefix).rstrip(".")
        what = repr(name) if name else "the file"
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{self._path}:{_line(node)}: {what} must be a mapping of keys to values, not {_kind(node)}")
        self._merge(node)
        seen = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{self._path}:{_line(key)}: a key of {what} is {_kind(key)}: keys are plain words")
            if seen.setdefault(key.value, _line(key)) != _line(key):
                raise ConfigError(f"{self._path}:{_line(key)}: key {prefix + key.value!r} stands here and in line {seen[key.value]}")
            yield key.value, child, _line(key)

    def _merge(self, node):
        try:
            self._maker.flatten_mapping(node)
        except yaml.YAMLError as error:
            raise ConfigError(f"{self._path}:{_line(node)}: {error}") from error

    def _take(self, key, node, line):
        self.origins[key.path] = f"{self._path}:{line}"
        self.values[key.path] = self._entries(key.path, node, line) if key.kind == "entries" else self._value(key, node, line, key.path)

    # lists of mappings

    def _entries(self, name, node, line):
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return ()
        if not isinstance(node, yaml.SequenceNode):
            raise ConfigError(f"{self._path}:{line}: {name!r} must be a list of mappings, not {_kind(node)}")
        return tuple(self._entry(name, f"{name}[{number}]", child) for number, child in enumerate(node.value))

    def _entry(self, name, where, node):
        """One entry with all keys of its schema; keys of a user's module stay as YAML says."""
        schema = keys.of_entry(name)
        entry = {path: key.default for path, key in schema.items()}
        module = _text_at(node, "mod_name")
        self.origins[where] = f"{self._path}:{_line(node)}"

        def take(key, child, line):
            path = key.path.split("[].", 1)[1]
            self.origins[f"{where}.{path}"] = f"{self._path}:{line}"
            entry[path] = self._value(key, child, line, f"{where}.{path}")

        def extra(key, child):
            if name == "compose" and key == "folder" and module in _STORES:
                entry[key] = self._value(_FOLDER, child, _line(child), f"{where}.folder")
                return True
            if name == "compose" and key in _STORE_KEYS and module in _STORES:
                self._section(_only(node, key), keys.of_file(), "", self._take)
                return True
            if name == "compose" and module and module not in _BUILT_IN:
                entry[key] = self._plain(child)
                return True
            return False

        self._within, outer = where + ".", self._within
        self._section(node, schema, "", take, extra)
        self._within = outer
        for path in ("mod_name", "pool_name", "path"):
            if path in entry and entry[path] is None:
                raise ConfigError(f"{self._path}:{_line(node)}: {where} has no {path!r}: give {schema[path].description}")
        self._set_kind(entry, "path" if name == "storage" else "pool_name", f"{self._path}:{_line(node)}: {where}")
        return MappingProxyType(entry)

    @staticmethod
    def _set_kind(entry, name, where):
        """bdev_type from the path, or refused where the two differ."""
        is_ram = entry[name].startswith("ram::")
        kind = kind_of(entry["bdev_type"], entry[name])
        if name == "path" and kind in ("ram", "file") and is_ram != (kind == "ram"):
            raise ConfigError(f"{where}: path {entry[name]!r} doesn't fit bdev_type {kind}: a path of ram is ram::NAME, others are files")
        entry["bdev_type"] = kind

    # values

    def _plain(self, node):
        try:
            return self._maker.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"{self._path}:{_line(node)}: {error}") from error

    def _value(self, key, node, line, path):
        value = self._plain(node)
        return key.default if value is None else checked(key, value, f"{self._path}:{line}: {path}")


def checked(key, value, where):
    """`value` (from YAML, or text from the environment) as the key's type. Raises ConfigError that begins with `where`."""
    if key.kind == "any":
        return value
    if key.kind == "text" and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if key.kind == "size":
        value = _size(value, where)
    elif isinstance(value, str) and key.kind in ("int", "number"):
        value = _parsed(key, value, where)
    elif isinstance(value, bool) != (key.kind == "bool") or not isinstance(value, _TYPES[key.kind]):
        raise ConfigError(f"{where} is {value!r}: it must be {_ARTICLES[key.kind]} ({key.description})")
    value = dict(key.aliases).get(value, value) if key.aliases else value
    if key.choices and value not in key.choices:
        raise ConfigError(f"{where} is {value!r}: it must be one of {', '.join(filter(None, key.choices))}{nearest(value, key.choices)}")
    outside = key.low is not None and value < key.low or key.high is not None and value > key.high
    if outside or isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {_said(key, value)}: it must be {_range(key)} ({key.description})")
    return value


_ARTICLES = {"int": "an integer", "number": "a number", "bool": "true or false", "text": "a text"}


def _range(key):
    if key.high is None:
        return "finite" if key.low is None else f"at least {_said(key, key.low)}"
    return f"from {_said(key, key.low)} to {_said(key, key.high)}"


def _said(key, value):
    """The value as it can be written in a configuration."""
    return format_size(value) if key.kind == "size" else value


def _size(value, where):
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ConfigError(f"{where} is {value!r}: it must be a size such as 512MB or 4g")
    try:
        return value if isinstance(value, int) else parse_size(value)
    except UsageError as error:
        raise ConfigError(f"{where}: {error}") from error


def _parsed(key, text, where):
    try:
        return int(text) if key.kind == "int" else float(text)
    except ValueError:
        raise ConfigError(f"{where} is {text!r}: it must be {_ARTICLES[key.kind]} ({key.description})") from None


def nearest(name, known):
    """"; did you mean ..." for the most similar of the known names, or "" when none resembles it."""
    # a key in the wrong section or without one, then a key or section written wrongly
    last = {path.rsplit(".", 1)[-1]: path for path in known if path}
    close = [last[match] for match in difflib.get_close_matches(str(name).rsplit(".", 1)[-1], last, n=1, cutoff=0.85)]
    if not close:
        sections = {path.split(".", 1)[0] for path in known if path}
        close = difflib.get_close_matches(str(name), [*sections, *known], n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _line(node):
    return node.start_mark.line + 1


def _kind(node):
    return {"scalar": f"the value {node.value!r}", "sequence": "a list", "mapping": "a mapping"}[node.id]


def _text_at(node, name):
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((child.value for key, child in pairs if key.value == name and isinstance(child, yaml.ScalarNode)), None)


def _only(node, name):
    """The mapping with only this key."""
    return yaml.MappingNode(node.tag, [pair for pair in node.value if pair[0].value == name], node.start_mark, node.end_mark)
