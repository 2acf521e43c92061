"""The public names of a package, each imported from its module when it is first asked for: commands that only say how they are called want no kernels."""

import sys
from importlib import import_module


def offered(package, modules):
    """``__getattr__, __dir__, __all__`` of the package. modules : names by the module of the package that has them, ``{"store": ("Store", "BlobInfo")}``."""
    homes = {name: module for module, names in modules.items() for name in names}

    def find(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, found)
        return found

    names = sorted(homes)
    return find, lambda: names, names
