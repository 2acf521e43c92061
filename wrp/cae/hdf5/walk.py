"""Which datasets an HDF5 file holds, and under which names: a walk over its hard links."""

from h5py import h5l, h5o

from wrp.errors import WrpError


class Walk:
    """`datasets`: for each dataset the sorted list of its hard links, as absolute bytes paths; in the order of the first ones.

    Soft and external links are not followed: they come back with the image. A group with several names is walked once.
    """

    def __init__(self, file):
        self._file = file
        self._found, self._groups = {}, {_address(h5o.get_info(file.id)): b""}
        waiting = [b""]
        while waiting:
            waiting.extend(sorted(self._group(waiting.pop()), reverse=True))
        self.datasets = sorted(sorted(paths) for paths in self._found.values())

    def _group(self, path):
        """Note what one group holds; the paths of groups in it that are new."""
        group = h5o.open(self._file.id, path or b"/")
        inner = []
        for name in group:
            if group.links.get_info(name).type != h5l.TYPE_HARD:
                continue
            here, info = path + b"/" + name, h5o.get_info(group, name)
            if info.type == h5o.TYPE_DATASET:
                self._found.setdefault(_address(info), []).append(here)
            elif info.type == h5o.TYPE_GROUP and _address(info) not in self._groups:
                self._groups[_address(info)] = here
                inner.append(here)
        return inner

    def name_of(self, path):
        """The path under which the walk knows the object at `path` (bytes), which may lead over soft links; None if it doesn't."""
        try:
            address = _address(h5o.get_info(self._file.id, path))
        except WrpError:        # the source can't be read
            raise
        except (KeyError, OSError, RuntimeError, ValueError):
            return None         # nothing is there, which the caller says
        if address in self._groups:
            return self._groups[address]
        return min(self._found.get(address, [None]))

    def name_of_object(self, opened):
        """The first path of an opened dataset (a h5py object id); None if the walk knows none."""
        return min(self._found.get(_address(h5o.get_info(opened)), [None]))


def _address(info):
    return info.fileno, info.addr
