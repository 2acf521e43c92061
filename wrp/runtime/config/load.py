"""Finds the configuration file and makes a `Config` of it: the values of every key and where each came from."""

import os
from types import MappingProxyType

from wrp.errors import ConfigError
from wrp.runtime.config import keys
from wrp.runtime.config.reading import Reader, checked, nearest

_VARIABLES = ("CHI_SERVER_CONF", "CLIO_SERVER_CONF", "WRP_RUNTIME_CONF")
_AT_HOME = os.path.join(".chimaera", "chimaera.yaml")


class Config:
    """Values of all keys, never changed. `path`: the file they were read from, or None."""

    __slots__ = ("_values", "_origins", "path")

    def __init__(self, values, origins, path):
        for name, value in (("_values", MappingProxyType(values)), ("_origins", MappingProxyType(origins)), ("path", path)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError("a Config is never changed: load another one")

    @classmethod
    def default(cls):
        """Every key at its default; reads no file and no environment."""
        defaults = {path: key.default for path, key in keys.of_file().items()}
        return cls(defaults, dict.fromkeys(defaults, "default"), None)

    def get(self, key):
        """The value of a key, e.g. "runtime.num_threads". Sizes are bytes, "compose" and "storage" tuples of read-only
        mappings with every key of the entry. Raises ConfigError for a key that isn't in the schema."""
        return self._find(self._values, key)

    def origin(self, key):
        """Where the value came from: "default", "FILE:LINE" or "environment NAME". Also of an entry of a list, "compose[0]", and of what stands in it,
        "compose[0].pool_id"."""
        return self._find(self._origins, key)

    def chosen(self, sections):
        """{key: value} of the keys of these sections that aren't at their defaults; JSON can say it."""
        return {path: [_unlike_default(path, entry) for entry in value] if isinstance(value, tuple) else value for path, value in self._values.items()
                if path.partition(".")[0] in sections and self._origins[path] != "default"}

    def but(self, values, origin):
        """Another Config, with such values of keys, which come from `origin`."""
        values = {path: tuple(MappingProxyType({**_defaults(path), **entry}) for entry in value) if isinstance(value, list) else value for path, value in values.items()}
        return Config({**self._values, **values}, {**self._origins, **dict.fromkeys(values, origin)}, self.path)

    @staticmethod
    def _find(table, key):
        try:
            return table[key]
        except KeyError:
            raise ConfigError(f"there is no configuration key {key!r}{nearest(key, table)}") from None

    def __repr__(self):
        changed = sum(self._origins[path] != "default" for path in self._values)
        return f"<Config of {self.path or 'defaults'}, {changed} key{'s' * (changed != 1)} set>"


def _defaults(path):
    """{key: default} of an entry of the list that has this path."""
    return {name: key.default for name, key in keys.of_entry(path).items()}


def _unlike_default(path, entry):
    defaults = _defaults(path)
    return {name: value for name, value in entry.items() if name not in defaults or value != defaults[name]}


def load(path=None, environ=os.environ):
    """The configuration of `path`, else of the file named by CHI_SERVER_CONF, CLIO_SERVER_CONF or WRP_RUNTIME_CONF, else of
    ~/.chimaera/chimaera.yaml, else the defaults; then of the file that the variable `config_env_var` of that one names; single keys from the environment come last. Local.

    Raises ConfigError naming file, line, key, what is wrong and the nearest known key.
    """
    config = Config.default()
    values, origins = dict(config._values), dict(config._origins)
    path = _chosen(path, environ)
    if path is not None:
        _read(path, values, origins)
        name = values["config_env_var"]
        if name and environ.get(name):
            _read(_named(environ[name], name), values, origins)
    for key in keys.of_file().values():
        text = environ.get(key.environ, "") if key.environ else ""
        if text:
            values[key.path] = checked(key, text, f"{key.environ} in the environment ({key.path})")
            origins[key.path] = f"environment {key.environ}"
    return Config(values, origins, path)


def _read(path, values, origins):
    reader = Reader(path)
    values.update(reader.values)
    origins.update(reader.origins)


def _named(path, variable):
    if not os.path.isfile(path):
        raise ConfigError(f"configuration file {path}, which {variable} names, isn't there: correct the path or unset {variable}")
    return path


def _chosen(path, environ):
    """The file to read, or None. One that was asked for must be there."""
    asked = [("the configuration file", path)] + [(name, environ.get(name)) for name in _VARIABLES]
    for who, name in asked:
        if not name:
            continue
        if not os.path.isfile(name):
            how = "is no file" if os.path.exists(name) else "isn't there"
            said = "" if name == path else f", which {who} names,"
            raise ConfigError(f"configuration file {name}{said} {how}: correct the path" + ("" if name == path else f" or unset {who}"))
        return os.fspath(name)
    home = os.path.join(environ.get("HOME") or os.path.expanduser("~"), _AT_HOME)
    return home if os.path.isfile(home) else None
