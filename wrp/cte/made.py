"""What an opening has made on the disk for a store that wasn't there before, and its removal when an error ends that store before it kept anything."""

import os
import shutil

from wrp.comm.refusals import tolerant
from wrp.runtime.devices import places

_OWN = {"STORE", "STORE.new", "lock", "members", "spare", "journal", "data"}        # all that an opening makes in a folder


class Made:
    """Of the job's first rank. To be made before the folder is."""

    def __init__(self, path):
        path, self._missing = os.path.abspath(path), []
        while not os.path.lexists(path):
            self._missing.append(path)
            path = os.path.dirname(path)
        self._said = b""

    def keep(self, folder):
        """The folder is open: what stands in its STORE now is nothing that a call has promised."""
        self._said = _said(folder)

    def undo(self, folder):
        """Remove the folder of the store, and the folders above that weren't there either; not where something in it lasts, or is another's.

        Call it with the folder locked, when no rank writes there any more.
        """
        with tolerant():                 # what fails now is no reason to hide why the store ends
            if not self._missing or _said(folder) != self._said or os.path.exists(os.path.join(folder.path, "snapshot")) \
                    or os.listdir(folder.journals) or _has_others(folder.path):
                return
            if folder.header.get("log"):
                os.rmdir(folder.journals)
            for path in map(folder.data_path, range(folder.header["files"])):
                places.remove(path)
            shutil.rmtree(folder.path)
            for above in self._missing[1:]:
                os.rmdir(above)


def _has_others(path):
    """True when the program, or somebody else, has put files of their own there."""
    return bool(set(os.listdir(path)) - _OWN) or not all(map(str.isdecimal, os.listdir(os.path.join(path, "data"))))


def _said(folder):
    with open(os.path.join(folder.path, "STORE"), "rb") as file:
        return file.read()
