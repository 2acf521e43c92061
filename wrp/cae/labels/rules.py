"""Which blobs get a label, and what the model is asked: the keys `label_...` of a YAML file. Nobody is asked here."""

import difflib
import re
from dataclasses import MISSING, dataclass, fields
from urllib.parse import urlsplit

import yaml

from wrp.cae.url import shown
from wrp.errors import ConfigError

SUFFIX = "_label"
_MODULES = ("clio_cae_summarizer", "wrp_cae_summarizer")
_PREFIX = "label_"
_BYTES_PER_TOKEN = 3                    # as in the reference: of binary data more tokens come out, and it is cut shorter than it had to be
_LEAST_NBYTES = 256


@dataclass(frozen=True)
class Match:
    """One rule. The patterns are searched for in the names; `prompt` is the name of one; context_length: tokens, 0: the model's; num_predict: most tokens of an answer, 0: any."""

    model: str
    prompt: str
    tag_re: str = ".*"
    blob_re: str = ".*"
    context_length: int = 4096
    num_predict: int = 0


@dataclass(frozen=True)
class Rules:
    """endpoint: URL of the server; prompts: {name: text}; matches: the first that fits counts; timeout_s: of a request; max_bytes: of a blob that are read."""

    endpoint: str
    prompts: dict
    matches: tuple
    timeout_s: float = 120.0
    max_bytes: int = 1 << 20

    def match(self, tag, blob):
        """The Match for a blob, or None; labels have none."""
        if blob.endswith(SUFFIX):
            return None
        return next((match for match in self.matches if re.search(match.tag_re, tag) and re.search(match.blob_re, blob)), None)

    def questions(self, match, data):
        """What to ask about these bytes: several questions where they don't fit into one, as three quarters of the model's context."""
        prompt = self.prompts[match.prompt]
        step = len(data) or 1
        if match.context_length:
            step = max(_LEAST_NBYTES, match.context_length * 3 // 4 * _BYTES_PER_TOKEN - len(prompt.encode()))
        return [f"{prompt}\n\n{data[start:start + step].decode('utf-8', 'replace')}" for start in range(0, max(1, len(data)), step)]


def load(path):
    """The Rules in a YAML file, at its top or in the entry of `compose` whose mod_name is clio_cae_summarizer. Local; ConfigError."""
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} can't be read as rules of labels: {' '.join(str(getattr(error, 'strerror', None) or error).split())}") from None
    entries = found.get("compose") if isinstance(found, dict) else None
    composed = [entry for entry in entries if isinstance(entry, dict) and entry.get("mod_name") in _MODULES] if isinstance(entries, list) else []
    if composed:
        found = {key: value for key, value in composed[0].items() if str(key).startswith(_PREFIX)}
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no rules of labels: it wants label_endpoint, label_prompts, label_matches")
    return _made(Rules, {_without_prefix(key): value for key, value in found.items()}, path, _PREFIX)


def _without_prefix(key):
    # a key without the prefix is unknown
    return str(key)[len(_PREFIX):] if str(key).startswith(_PREFIX) else f"?{key}"


def _made(kind, given, where, prefix=""):
    """A Rules or Match of a mapping's values; ConfigError."""
    known = {field.name: field for field in fields(kind)}
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key.lstrip("?"), known, n=1)
            name = key[1:] if key.startswith("?") else prefix + key
            raise ConfigError(f"{where}: the key {name!r} is not known" + (f"; did you mean {prefix + near[0]!r}?" if near else ""))
    missing = [prefix + name for name, field in known.items() if field.default is MISSING and given.get(name) is None]
    if missing:
        raise ConfigError(f"{where}: {' and '.join(missing)} must be there")
    values = {key: value for key, value in given.items() if value is not None}
    return kind(**{key: _CHECKS[key](value, f"{where}: {prefix}{key}", values) for key, value in values.items()})


def _text(value, where, _):
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where} must be text, not {value!r}")
    return value


def _pattern(value, where, given):
    try:
        re.compile(_text(value, where, given))
    except re.error as error:
        raise ConfigError(f"{where}: {value!r} is not a regular expression ({error})") from None
    return value


def _count(value, where, _):
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{where} must be an integer of 0 or more, not {value!r}")
    return value


def _positive(value, where, _):
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConfigError(f"{where} must be a number above 0, not {value!r}")
    return value


def _endpoint(value, where, given):
    _text(value, where, given)
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url:
        raise ConfigError(f"{where} must be a URL like http://127.0.0.1:11434, not {shown(value.rpartition('@')[2])!r}")
    return value.rstrip("/")


def _prompts(value, where, given):
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a mapping from names to texts, not {value!r}")
    return {str(name): _text(text, f"{where}.{name}", given) for name, text in value.items()}


def _matches(value, where, given):
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ConfigError(f"{where} must be a list of mappings")
    found = tuple(_made(Match, entry, f"{where}[{number}]") for number, entry in enumerate(value))
    for number, match in enumerate(found):
        if match.prompt not in (given.get("prompts") or ()):
            raise ConfigError(f"{where}[{number}]: there is no prompt {match.prompt!r} in label_prompts")
    return found


_CHECKS = {"endpoint": _endpoint, "prompts": _prompts, "matches": _matches, "timeout_s": _positive, "max_bytes": _count, "model": _text, "prompt": _text,
           "tag_re": _pattern, "blob_re": _pattern, "context_length": _count, "num_predict": _count}
