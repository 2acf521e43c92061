"""Kept: pools that a restarted daemon makes again, in a file of the configuration's folder. Makes none."""

import json
import os
from pathlib import Path

from wrp.comm.lasting import sync_names
from wrp.errors import StoreError

_AT_HOME = "~/.chimaera"


class Kept:
    """The pools of the daemon `name`. One process of it writes. Raises StoreError, naming the file."""

    def __init__(self, config, name):
        folder = config.get("runtime.conf_dir") or os.path.expanduser(_AT_HOME)
        self.path = Path(folder) / "restart" / f"{name}.json"

    def entries(self):
        """[(name, module, params)] in the order in which they were made."""
        try:
            return [(entry["name"], entry["module"], entry["params"]) for entry in json.loads(self.path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"the pools to make again can't be read from {self.path} ({error}): repair or remove it") from error

    def add(self, name, module, params):
        """Keep one, in place of one of the same name."""
        found = [{"name": name, "module": module, "params": params}]
        self._write([entry for entry in self._plain() if entry["name"] != name] + found)

    def drop(self, name):
        """Forget one."""
        entries = self._plain()
        left = [entry for entry in entries if entry["name"] != name]
        if len(left) < len(entries):
            self._write(left)

    def _plain(self):
        return [{"name": name, "module": module, "params": params} for name, module, params in self.entries()]

    def _write(self, entries):
        beside = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(beside, "w", encoding="utf-8") as file:
                json.dump(entries, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            sync_names(self.path.parent)
        except OSError as error:
            raise StoreError(f"the pools to make again can't be written to {self.path} ({error.strerror}): set runtime.conf_dir") from error
