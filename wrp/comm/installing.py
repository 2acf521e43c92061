"""What a sentence says of a package that isn't there: how it is installed into the Python that runs."""

import sys


def extra(name):
    """The command for an extra of wrp itself, which is installed from its clone."""
    return f"{sys.executable} -m pip install -e '.[{name}]' in the clone of wrp"


def package(name):
    """The command for a package of others."""
    return f"{sys.executable} -m pip install {name}"
