"""Which node is the home of a file, by the policies of the workflow. Moves nothing."""

import zlib


class Homes:
    """`look(path)` gives a FilePlan, `name(path)` what a path is called between nodes, `nodes`: how many there are."""

    def __init__(self, look, name, nodes):
        self._look, self._name, self._nodes = look, name, nodes
        self._met, self._expected = {}, {}          # step: the node where it was seen first; paths whose home is where the step will be

    def of(self, path):
        """The node; None: where it is made, or not known yet, which `meets` says when it is."""
        home = self._look(path).home
        if home.policy == "hashing":
            return zlib.crc32(self._name(path).encode(errors="surrogateescape")) % self._nodes
        if home.policy == "manual" and home.app not in self._met:
            self._expected.setdefault(home.app, set()).add(path)
        return self._met.get(home.app) if home.policy == "manual" else None

    def meets(self, step, node):
        """A process of the step is on the node; returns the paths whose home is known now."""
        if step in self._met:
            return ()
        self._met[step] = node
        return self._expected.pop(step, ())
