"""Agreement: an error of one rank becomes the same error on every rank of its group."""

from contextlib import contextmanager

from wrp import errors
from wrp.errors import RankFailed, WrpError


@contextmanager
def agreed(ranks, what):
    """Collective context manager: when the block raises on any rank, every rank raises at its end.

    The error of the lowest failing rank wins: the same class where it is a WrpError, else RankFailed; the message
    names rank and host. The failing rank chains the original. The block itself may be collective, but a rank that raises in
    it must not leave the others inside a collective call: they would wait there until their deadline.
    KeyboardInterrupt and SystemExit pass: they end the job.
    """
    failure = None
    try:
        yield
    except Exception as error:
        failure = _alone(error, ranks)
    _raise_first(ranks.gather(_report(failure, ranks), what), ranks, failure)


def gather_of(ranks, function, what):
    """What `function()` gives on every rank, as `gather`; or an error, as `agreed`. One exchange for both. Collective."""
    value = failure = None
    try:
        value = function()
    except Exception as error:
        failure = _alone(error, ranks)
    if ranks.size == 1:
        return [value]
    parts = ranks.gather((_report(failure, ranks), value), what)
    _raise_first([report for report, _ in parts], ranks, failure)
    return [part for _, part in parts]


def share_of(ranks, function, what, root=0):
    """What `function()` gives on `root`, as `share`; or its error, as `agreed`. One exchange for both. Collective."""
    value = failure = None
    if ranks.rank == root:
        try:
            value = function()
        except Exception as error:
            failure = _alone(error, ranks)
    if ranks.size == 1:
        return value
    report, value = ranks.share((_report(failure, ranks), value), what, root)
    _raise_first([report], ranks, failure)
    return value


def is_common(error):
    """True when every rank of the job raises this error, so that collective calls still work on the way out."""
    return getattr(error, "common", False)


def everywhere(error):
    """The error, which every rank raises by itself, before they have met."""
    error.common = True
    return error


def is_agreed(error, ranks):
    """True when every rank of this group raises this error out of `agreed`, `gather_of` or `share_of`, and not because an exchange broke."""
    return getattr(error, "named", False) or ranks.size == 1 and isinstance(error, Exception)


def _alone(error, ranks):
    """The error, for the others to hear of; raised at once where there are none, or none that can be reached."""
    if ranks.size == 1:
        error.common = ranks.is_world
    if ranks.size == 1 or ranks.broken:
        raise error
    return error


def _raise_first(reports, ranks, failure):
    for report in reports:
        if report is not None:
            raise _error(report, ranks) from failure


def _report(failure, ranks):
    """(names of the class and its bases, message naming this rank), or None."""
    if failure is None:
        return None
    names = [kind.__name__ for kind in type(failure).__mro__]
    if getattr(failure, "named", False):
        return names, str(failure)
    text = str(failure) if isinstance(failure, WrpError) else f"{type(failure).__name__}: {failure}"
    return names, f"{text} (rank {ranks.world_rank} on {ranks.host})"


def _error(report, ranks):
    names, message = report
    error = _kind(names)(message)
    error.named = True
    error.common = ranks.is_world
    return error


def _kind(names):
    """The nearest class of wrp.errors among these names, RankFailed for an error of another kind."""
    for name in names:
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, WrpError):
            return kind
    return RankFailed
