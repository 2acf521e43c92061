"""What a module of wrp is made of: a digest over its own file and those of wrp's that it imports, directly or not."""
import hashlib
import os
import re
from functools import lru_cache

_TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_IMPORT = re.compile(rb"^[ \t]*(?:from (wrp[\w.]*) import (\([^)]*\)|[^\n]*)|import (wrp[^\n]*))", re.M)
_NAME, _DOTTED = re.compile(rb"\w+"), re.compile(rb"wrp[\w.]*")


@lru_cache(maxsize=None)
def digest(module):
    """Hash of a module and of all modules of wrp that it reaches by imports, at the top or inside of functions: 16 hex digits.

    Every import counts, not only those of kernels: a kernel freezes the constants that it imports.
    """
    return _hash(module, reached(module))


@lru_cache(maxsize=None)
def digest_of_all():
    """The same over all modules of wrp."""
    found = set()
    for folder, _, names in os.walk(_TOP):
        package = ".".join(["wrp", *os.path.relpath(folder, _TOP).split(os.sep)]).removesuffix("..")
        found.update(f"{package}.{name[:-3]}".removesuffix(".__init__") for name in names if name.endswith(".py"))
    return _hash("wrp", found)


def reached(module):
    """The names of the module and of those that it imports, as a set."""
    found, left = {module}, [module]
    while left:
        new = _source(left.pop())[1] - found
        found |= new
        left += new
    return found


def _hash(name, modules):
    lines = [name] + [f"{module} {_source(module)[0]}" for module in sorted(modules)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@lru_cache(maxsize=None)
def _source(module):
    """(hash of the file of a module, the modules that it imports)."""
    with open(_file(module), "rb") as file:
        text = file.read()
    return hashlib.sha256(text).hexdigest(), frozenset(_imported(text))


def _imported(text):
    for package, words, modules in _IMPORT.findall(text):
        for name in [package] if package else _DOTTED.findall(modules):
            name = name.decode()
            if _file(name):
                yield name
            for word in _NAME.findall(words):           # what isn't a module is a name in one
                if _file(inner := f"{name}.{word.decode()}"):
                    yield inner


@lru_cache(maxsize=None)
def _file(module):
    """The path of a module, or None."""
    path = os.path.join(_TOP, *module.split(".")[1:])
    if os.path.basename(path) + ".py" in _names(os.path.dirname(path)):
        return path + ".py"
    return os.path.join(path, "__init__.py") if "__init__.py" in _names(path) else None


@lru_cache(maxsize=None)
def _names(folder):
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()
