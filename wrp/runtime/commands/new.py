"""module new: writes a module of one page and a test that passes."""

import keyword
import os
from pathlib import Path

from wrp.errors import UsageError
from wrp.runtime.commands.output import show

_MODULE = '''"""The module {name}: counts what it is told. Change it into yours.

Make it known to every runtime through an entry point of your package (setup.cfg):

    [options.entry_points]
    wrp.modules =
        {name} = {name}:{cls}
"""


class {cls}:
    """One object per pool. Methods take up to six integers and return up to four."""

    methods = {{10: "add", 11: "total"}}

    def __init__(self, pool_name, start=0):
        self.sum = start

    def add(self, number):
        """Add a number: the new sum."""
        self.sum += number
        return self.sum

    def total(self):
        return self.sum
'''

_TEST = '''"""Run with: python -m pytest test_{name}.py"""

from wrp.comm.ranks import world
from wrp.runtime import modules
from wrp.runtime.config import Config
from wrp.runtime.runtime import Runtime

from {name} import {cls}


def test_adds():
    modules.register("{name}", {cls})
    with Runtime(world(), Config.default()) as runtime:
        pool = runtime.pool("mine", "{name}", start=5)
        assert pool.call(10, 37).values[0] == 42
        assert pool.call(11).values[0] == 42
        assert pool.call(99).code == -1         # a method that isn't there
'''


def new(args):
    """Write NAME.py and test_NAME.py; refuses files that exist. Local."""
    name, folder = args.module, Path(args.folder)
    if not name.isidentifier() or keyword.iskeyword(name) or not name.islower():
        raise UsageError(f"{name!r} can't name a module: use small letters, digits and '_', beginning with a letter")
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: make it, or give another --folder")
    texts = {folder / f"{name}.py": _MODULE, folder / f"test_{name}.py": _TEST}
    there = [str(path) for path in texts if os.path.lexists(path)]
    if there:
        raise UsageError(f"{there[0]} is there already: give another name, or remove it")
    cls = "".join(part.capitalize() for part in name.split("_"))
    written = []
    try:
        for path, text in texts.items():
            with open(path, "x", encoding="utf-8") as file:
                written.append(str(path))
                file.write(text.format(name=name, cls=cls))
    except OSError as error:
        for path in written:
            os.unlink(path)
        raise UsageError(f"module {name} can't be written into {folder}: {error.strerror}; give another --folder") from error
    show({"written": written}, [f"wrote {path}" for path in written], args.json)
