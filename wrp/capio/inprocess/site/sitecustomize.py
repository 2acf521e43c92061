"""Runs when a Python of a step starts (its folder is in PYTHONPATH): installs the interception, then the sitecustomize that this one hides."""

import importlib.machinery
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))


def _begin():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(_here))))
    sys.path.append(root)               # another interpreter than the one that wrp is installed in
    try:
        from wrp.capio.inprocess import install
        install()
    finally:
        sys.path.remove(root)
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", [path for path in sys.path if os.path.abspath(path) != _here])
    if found is not None:
        found.loader.exec_module(importlib.util.module_from_spec(found))


_begin()
