"""The normal form of a path, by which files are known to the rules. Lexical: follows no link."""

import os


def normal(path):
    """The path without "." and "..", and with single slashes, also at its beginning, where os.path.normpath leaves two."""
    path = os.path.normpath(path)
    return path[1:] if path.startswith("//") else path
