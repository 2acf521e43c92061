"""The file of `capio run --all`: which program each step is. YAML: {step: command}, a command being a text for the shell, a list, or a mapping."""

from dataclasses import dataclass, field

import yaml

from wrp.errors import JobFileError

_KEYS = ("command", "copies", "cwd", "env")


@dataclass(frozen=True)
class Step:
    """A program to start; `copies` of it are several of these."""

    name: str
    command: list
    cwd: str | None = None
    env: dict = field(default_factory=dict)


def load(path):
    """The steps of a file, in its order; JobFileError says what is wrong where."""
    try:
        with open(path, encoding="utf-8") as file:
            document = yaml.safe_load(file)
    except OSError as error:
        raise JobFileError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise JobFileError(f"{path} isn't YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict) or not document:
        raise JobFileError(f"{path}: it must be a mapping of steps to commands, e.g. 'writer: ./write.sh data.bin'")
    return [step for name, value in document.items() for step in _steps(path, str(name), value)]


def _steps(path, name, value):
    where = f"{path}: {name}"
    value = value if isinstance(value, dict) else {"command": value}
    for key in value:
        if key not in _KEYS:
            raise JobFileError(f"{where}.{key}: no such key; there are {', '.join(_KEYS)}")
    command, copies, env = value.get("command"), value.get("copies", 1), value.get("env") or {}
    if isinstance(command, str) and command.strip():
        command = ["/bin/sh", "-c", command]
    if not isinstance(command, list) or not command or not all(isinstance(word, (str, int, float)) for word in command):
        raise JobFileError(f"{where}: the command must be a text for the shell or a list of words")
    if not isinstance(copies, int) or isinstance(copies, bool) or copies < 1:
        raise JobFileError(f"{where}.copies: it must be a whole number from 1 on")
    if not isinstance(env, dict):
        raise JobFileError(f"{where}.env: it must be a mapping of names to values")
    return [Step(name, [str(word) for word in command], value.get("cwd"), {str(key): str(text) for key, text in env.items()})] * copies
