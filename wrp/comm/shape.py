"""Shape: one word for the layouts of records, so that processes which share them can tell whether they mean the same."""

import numpy as np

from wrp.comm.checksum import hash64


def facts(module):
    """[(name, number or fields)] of the constants of a module: upper-case names of numbers and of record types."""
    found = ((name, _fact(value)) for name, value in vars(module).items() if name.isupper())
    return sorted((name, fact) for name, fact in found if fact is not None)


def shape(*modules, more=()):
    """The word for these modules and whatever else has a `repr` that says all. A constant that is no offset counts too: rather
    refuse once too often than read a record wrongly."""
    return hash64(repr([(module.__name__, facts(module)) for module in modules] + list(more)).encode())


def _fact(value):
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, np.dtype) and value.fields:
        return str(value.itemsize) + str(sorted((name, str(field[0]), int(field[1])) for name, field in value.fields.items()))
    return None
