"""The calls of a store of several nodes in groups, with the names of those in wrp.cte.calls; each a base class of store.NodesStore."""

from wrp.cte.nodes.calls.editing import NodesEditing
from wrp.cte.nodes.calls.listing import NodesListing
from wrp.cte.nodes.calls.observing import NodesObserving
from wrp.cte.nodes.calls.reading import NodesReading
from wrp.cte.nodes.calls.writing import NodesWriting

__all__ = ["NodesEditing", "NodesListing", "NodesObserving", "NodesReading", "NodesWriting"]
