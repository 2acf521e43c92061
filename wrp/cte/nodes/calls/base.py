"""What all calls of a store of several nodes stand on. No call of its own."""

from contextlib import suppress

from wrp.comm.refusals import let_out
from wrp.errors import NoSuchBlob, NoSuchTag


class NodesCalls:
    """Of one rank. `_here`: the Store that knows this node only; `_routes`: where a call goes; `_edits`: what takes several calls; `_cache`: of the node, or None."""

    ranks = folder = None
    _parts = _here = _routes = _edits = _cache = None

    def _seen(self, call, tag, blob, *args):
        """What Routes.look gives of a blob; of one that a checkpoint tag hasn't got, of the nearest of its sources that has."""
        return self._through(lambda own: self._routes.look(call, own, blob, *args), tag)

    def _through(self, function, tag):
        """What a function gives for a tag, or, where that hasn't got the blob, for the nearest of its sources that has."""
        try:
            return function(tag)
        except (NoSuchBlob, NoSuchTag) as error:
            let_out(error)
            for source in self._sources(tag):
                with suppress(NoSuchBlob, NoSuchTag):
                    return function(source)
            raise
