"""A job of several ranks at a daemon's store: every rank attaches by itself, and what the ranks do together they agree on as the job's own."""

import os

from wrp.comm import names
from wrp.cte.served.attached import attach
from wrp.errors import UsageError
from wrp.runtime.daemon import place


def joined(name, ranks):
    """The AttachedStore of each rank, of the daemon `name` of its node; `ranks` are its own. Collective.

    Raises what `attach` raises, and UsageError where the daemons of the ranks' nodes aren't one, on every rank.
    """
    name, store = name or place.default_name(), None
    of_node = place.name_on_node(ranks, name)           # where one machine is several nodes
    try:
        with ranks.agreed(f"attaching to the daemon {name!r}"):
            store = attach(name)
            if of_node != name and os.path.exists(names.path(of_node)):
                store.close()
                store = attach(of_node)
        first = ranks.share((store.daemon, ranks.host), "the daemon that serves the store")
        with ranks.agreed(f"looking whether the daemon {name!r} is one"):
            if store.daemon != first[0]:
                raise UsageError(f"the daemon {name!r} of {ranks.host} isn't the one of {first[1]}: start one over all nodes of the job, e.g. with 'srun wrp-runtime'")
    except BaseException:
        if store is not None:
            store.close()
        raise
    store.ranks = ranks
    return store
