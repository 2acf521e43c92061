"""What all calls of a store of several nodes stand on. No call of its own."""


class NodesCalls:
    """Of one rank. `_here`: the Store that knows this node only; `_routes`: where a call goes; `_edits`: what takes several calls; `_cache`: of the node, or None."""

    ranks = folder = None
    _parts = _here = _routes = _edits = _cache = None
