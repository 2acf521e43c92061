"""Every error that wrp raises, and the exit code a command ends with.

    WrpError      (RuntimeError)           1   base; message = what failed, where, what to do
    ├── UsageError        (ValueError)         2   a command or call used wrongly
    ├── ConfigError       (ValueError)         3   a configuration file is wrong
    │   └── WorkflowError                      3   a CAPIO-CL file is wrong
    ├── JobFileError      (ValueError)         4   an OMNI job file is wrong
    ├── SourceError       (OSError)            5   a source can't be read as what it claims to be
    │   └── SourceMissing (FileNotFoundError)  5   a source isn't there
    ├── NoSuchTag         (KeyError)           6   a tag isn't in the store
    ├── NoSuchBlob        (KeyError)           6   a blob isn't in the tag
    ├── NothingMatched    (LookupError)        6   a pattern matches nothing
    ├── RangeError        (ValueError)         6   a byte range lies beyond the end
    ├── Changed                                6   a name isn't in the state that the call asked for
    ├── StoreError        (OSError)            7   the store's folder can't be used
    │   ├── StoreBusy                          7   another job holds it
    │   ├── StoreVersion                       7   it was written by another version
    │   ├── Corrupt                            7   bytes don't have the checksum they had
    │   └── Uncertain                          7   a change was refused, and may be there once the store is opened again
    ├── OutOfSpace        (MemoryError)        8   no tier has room
    ├── WaitTimeout       (TimeoutError)       9   a wait reached its deadline
    │   └── RuntimeGone                        9   the runtime that served this process has ended
    └── RankFailed                            10   another rank failed with an error of another kind

Two warnings, which are no errors: FewerReplicas (UserWarning): a blob is stored, on fewer nodes than targets.replicas asks for; MaybeOlder (UserWarning): a get
without a blob's home, whose copies are brought later (targets.replicate_period_ms), gives what one of them was.

This module holds no logic beyond the tree. Exit codes are per branch, so a batch script can tell
"wrong input" from "no room" without reading the text.
"""


class WrpError(RuntimeError):
    """Base of all errors of wrp. ``str(error)`` is one sentence; ``exit_code`` ends the command."""

    exit_code = 1

    def __init__(self, message):
        super().__init__(message)
        self.message = message

    def __str__(self):          # KeyError would print the message in quotes
        return self.message


class UsageError(WrpError, ValueError):
    exit_code = 2


class ConfigError(WrpError, ValueError):
    exit_code = 3


class WorkflowError(ConfigError):
    pass


class JobFileError(WrpError, ValueError):
    exit_code = 4


class SourceError(WrpError, OSError):
    exit_code = 5


class SourceMissing(SourceError, FileNotFoundError):
    pass


class NoSuchTag(WrpError, KeyError):
    exit_code = 6


class NoSuchBlob(WrpError, KeyError):
    exit_code = 6


class NothingMatched(WrpError, LookupError):
    exit_code = 6


class RangeError(WrpError, ValueError):
    exit_code = 6


class Changed(WrpError):
    exit_code = 6


class StoreError(WrpError, OSError):
    exit_code = 7


class StoreBusy(StoreError):
    pass


class StoreVersion(StoreError):
    pass


class Corrupt(StoreError):
    pass


class Uncertain(StoreError):
    """A journal could neither take a change nor be cut behind the one before: whether it has happened shows when the store is opened again. Or a daemon ended, or didn't answer,
    while it committed a batch: that shows when one answers."""


class OutOfSpace(WrpError, MemoryError):
    """`none_fits`: no target is of the kind that was asked for, whatever room there is."""

    exit_code = 8
    none_fits = False


class WaitTimeout(WrpError, TimeoutError):
    exit_code = 9


class RuntimeGone(WaitTimeout):
    pass


class RankFailed(WrpError):
    exit_code = 10


class FewerReplicas(UserWarning):
    """A keeper of a blob has no room for its copy. Whoever wants an error instead: ``warnings.simplefilter("error", FewerReplicas)``; the change has happened then."""

    exit_code = 0


class MaybeOlder(UserWarning):
    """The home of a blob is silent, and what its keeper has of it may be older than what was put last. Whoever wants an error instead: ``warnings.simplefilter("error", MaybeOlder)``."""

    exit_code = 0
