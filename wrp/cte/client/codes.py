"""The reference's result codes: which error of a call is which number. Raises nothing."""

from wrp.cte import given
from wrp.errors import Corrupt, NoSuchBlob, NoSuchTag, OutOfSpace, StoreError, UsageError

OK, OTHER = 0, 1

# reasons that a UsageError of this room carries
NO_BYTES, NO_DATA, NO_NAME, BAD_SCORE, NO_TARGET = "no bytes", "no data", "no name", "bad score", "no target"
NONE_FITS, SPACE, MISSING, READ, WRITE = "none fits", "space", "missing", "read", "write"

CODES = {
    "put_blob": {NO_BYTES: 2, NO_DATA: 3, NO_NAME: 4, BAD_SCORE: 5, NONE_FITS: 12, SPACE: 13, WRITE: 21},
    "reorganize_blob": {MISSING: 3, SPACE: 5, READ: 6, WRITE: 7},
    "get_target_info": {NO_TARGET: 2},
    "flush_metadata": {WRITE: 99},
}
_SAME = {"multi_put_blob": "put_blob", "reserve_blob": "put_blob", "append_blob": "put_blob", "put_segments": "put_blob"}


class Refused(UsageError):
    """A call that the reference refuses with a code of its own; `reason`: one of the texts above."""

    def __init__(self, message, reason):
        super().__init__(message)
        self.reason = reason


def score_of(score, what):
    """As given.score_of, with the reference's reason."""
    try:
        return given.score_of(score, what)
    except UsageError as error:
        raise Refused(str(error), BAD_SCORE) from None


def code_of(call, error):
    """The result code of a call of Client (its name) that raised `error`, None: 0. What the reference gives no number of its own is 1."""
    if error is None:
        return OK
    return CODES.get(_SAME.get(call, call), {}).get(_reason(call, error), OTHER)


def _reason(call, error):
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, OutOfSpace):
        return NONE_FITS if error.none_fits and call != "reorganize_blob" else SPACE
    if isinstance(error, (NoSuchBlob, NoSuchTag)):
        return MISSING
    if isinstance(error, Corrupt):
        return READ
    return WRITE if isinstance(error, StoreError) else ""
