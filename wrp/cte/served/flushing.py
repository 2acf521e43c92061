"""Flushing together: the ranks of a job have one daemon flush what they have put, and go on with the next one only where nothing of that is lost. Asks nobody itself."""

from wrp.comm.ranks.agreement import everywhere
from wrp.errors import RuntimeGone, UsageError

_ROUNDS = 10                    # in each of which a daemon died between the looks of two ranks


def flush_together(ranks, known, flush):
    """Collective; raises the same on every rank.

    known() : (word of the daemon of now, whether another one is waited for when it has gone); raises StoreError where what was put went with another one
    flush() : have that daemon flush; on one rank. RuntimeGone where it has gone
    """
    for _ in range(_ROUNDS):
        # all that a rank finds by itself is found within one step, so that all go on alike
        found = ranks.gather_of(lambda: (*known(), ranks.host), "every rank has come to flush the store")
        if len({word for word, _, _ in found}) > 1:
            continue            # one has died, and who had asked it doesn't know that yet
        try:
            return ranks.share_of(flush, "flushing the store")
        except RuntimeGone:
            if not all(goes_on for _, goes_on, _ in found):
                raise
    one, other = next(((found[0][2], host) for word, _, host in found if word != found[0][0]), (ranks.host, ""))
    raise everywhere(UsageError(f"the daemons of the ranks of this job aren't one ({one}, {other}): start one over all its nodes, e.g. with 'srun wrp-runtime'")
                     if other else RuntimeGone(f"{_ROUNDS} daemons ended, one after the other, while they were to flush the store: look at their messages"))
