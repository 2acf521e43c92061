"""HDF5 dimension scales: which datasets that are taken in refer to ones that are left out."""

import h5py
import numpy as np
from h5py import h5r

from wrp.errors import WrpError

_SHOWN = 4                              # names in a sentence


class Scales:
    """What the `DIMENSION_LIST` attributes of the datasets taken in refer to, told by the names of a `walk.Walk`."""

    def __init__(self, walk):
        self._walk = walk
        self._left_out, self._users = set(), []

    def leave_out(self, path):
        """The dataset with this first path (bytes) isn't taken in."""
        self._left_out.add(path)

    def take_in(self, shown, dataset):
        """`shown`: its path for people; `dataset`: its h5py id."""
        found = {name: None for name in map(self._name, _references(dataset)) if name is not None}
        if found:
            self._users.append((shown, tuple(found)))

    def notes(self):
        """A sentence for each set of scales that some datasets miss. Call it after all datasets."""
        missed = {}
        for shown, names in self._users:
            missing = tuple(name.decode("utf-8", "backslashreplace") for name in names if name in self._left_out)
            if missing:
                missed.setdefault(missing, []).append(shown)
        return [_sentence(users, scales) for scales, users in missed.items()]

    def _name(self, opened):
        return self._walk.name_of_object(opened)


def _references(dataset):
    """Ids of the objects in the dataset's DIMENSION_LIST; the ones that lead nowhere are none of ours."""
    attributes = h5py.Dataset(dataset).attrs
    try:
        lists = attributes.get("DIMENSION_LIST", ())
    except WrpError:                    # the source can't be read
        raise
    except (OSError, RuntimeError, ValueError, TypeError):
        return                          # of that name, but none that can be followed
    for references in np.ravel(lists):
        for reference in np.ravel(references):
            if not isinstance(reference, h5py.Reference) or not reference:
                continue
            try:
                opened = h5r.dereference(reference, dataset)
            except WrpError:
                raise
            except (OSError, RuntimeError, ValueError, KeyError):
                continue                # the scale was deleted, as the source's readers find too
            if opened is not None:
                yield opened


def _sentence(users, scales):
    refer, their = ("refers", "its") if len(users) == 1 else ("refer", "their")
    are, them = ("is", "it") if len(scales) == 1 else ("are", "them")
    return (f"{_listed(users)} {refer} to {_listed(scales)}, which {are} left out: include {them}, or {their} dimension scales "
            "can't be followed in an export")


def _listed(names):
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
