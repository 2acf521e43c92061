"""Which assimilator takes which source protocol: built-in ones, then those of other packages.

A package adds its own through the entry-point group `wrp.assimilators`: the entry's name is the
protocol, its value a class or function without arguments that gives an `Assimilator`.
"""

import difflib
import importlib
from importlib import metadata

from wrp.comm import installing
from wrp.errors import JobFileError, SourceError

GROUP = "wrp.assimilators"

# protocol: module, class, what to do when the import fails
_BUILT_IN = {
    "file": ("wrp.cae.binary", "Binary", "reinstall wrp"),
    "hdf5": ("wrp.cae.hdf5", "Hdf5", f"install h5py ({installing.package('h5py')})"),
    "kvhdf5": ("wrp.cae.hdf5.described", "Described", f"install h5py ({installing.package('h5py')})"),
    "string": ("wrp.cae.inline", "Inline", "reinstall wrp"),
    **{remote: ("wrp.cae.objects", "Objects", "reinstall wrp") for remote in ("s3", "s3a", "gs", "gcs", "http", "https")},
}


def known():
    """Sorted names of all protocols; imports none of them."""
    return sorted({*_BUILT_IN, *_others()})


def is_remote(protocol):
    """Whether its sources are objects of a service that fsspec knows; those that aren't built in want fsspec installed."""
    if protocol in _BUILT_IN:
        return _BUILT_IN[protocol][0] == "wrp.cae.objects"
    return protocol not in _others() and protocol in _of_fsspec()


def check(protocol):
    """JobFileError, naming the nearest known protocol, when no assimilator takes this one."""
    if protocol in _BUILT_IN or is_remote(protocol):
        return
    names = known()
    if protocol not in names:
        near = difflib.get_close_matches(protocol.lower(), names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? known are: " if near else "known are: "
        raise JobFileError(f"no assimilator takes the protocol {protocol!r}; {hint}{', '.join(names)}")


def assimilator(protocol):
    """The `Assimilator` of a protocol; JobFileError when it is unknown, SourceError when it can't be imported."""
    check(protocol)
    if protocol in _BUILT_IN or is_remote(protocol):
        module, name, advice = _BUILT_IN.get(protocol, _BUILT_IN["s3"])
    else:
        entry = _others()[protocol]
        module, name, advice = entry.module, entry.attr, f"repair the package {_package(entry)}"
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SourceError(f"the assimilator for {protocol!r} can't be imported ({error}); {advice}") from error
    return found()


def _others():
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP) if entry.name not in _BUILT_IN}


def _of_fsspec():
    try:
        from fsspec import available_protocols
    except ImportError:
        return ()
    return available_protocols()


def _package(entry):
    return entry.dist.name if entry.dist else entry.value
