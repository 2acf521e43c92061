"""What an opening has made on the disk for a store that wasn't there before, and its removal when an error ends that store before it kept anything."""

import os
import shutil
from contextlib import suppress


class Made:
    """Of the job's first rank. To be made before the folder is."""

    def __init__(self, path):
        path, self._missing = os.path.abspath(path), []
        while not os.path.lexists(path):
            self._missing.append(path)
            path = os.path.dirname(path)

    def undo(self, folder):
        """Remove the folder of the store, and the folders above that weren't there either; not where something in it lasts.

        Call it with the folder locked, when no rank writes there any more.
        """
        if not self._missing or os.path.exists(os.path.join(folder.path, "snapshot")) or os.listdir(os.path.join(folder.path, "journal")):
            return
        with suppress(OSError):                 # what fails now is no reason to hide why the store ends
            for path in map(folder.data_path, range(folder.header["files"])):
                if os.path.exists(path):
                    os.unlink(path)
            shutil.rmtree(folder.path)
            for above in self._missing[1:]:
                os.rmdir(above)
