"""Finding a daemon of this node that is ready, now or before a deadline."""

import math
import os
import sys
import time
from contextlib import suppress

from wrp.errors import RuntimeGone, StoreError, StoreVersion, UsageError, WrpError
from wrp.runtime.clients import READY
from wrp.runtime.daemon import place
from wrp.runtime.daemon.about import STATES, About

GONE_HINT = "start it again with 'wrp-runtime start'"
_NAP_S = 0.02
_DEFAULT_WAIT_S = 30.0


def found(name, deadline):
    """(segment, about) of a daemon that is ready. Looks again until the deadline."""
    while True:
        try:
            return _ready(name)
        except _NotYet as error:
            if time.monotonic() >= deadline:
                raise error.cause from None
        time.sleep(_NAP_S)


def tell_of_wait(name, timeout_s=None):
    """Before a command attaches: one line on standard error where that will wait for the daemon (None: of the default name). Local."""
    name = name or place.default_name()
    with suppress(WrpError):            # attaching raises it
        limit_s = wait_s(timeout_s)
        try:
            _ready(name)[0].close()
        except _NotYet as error:
            if limit_s:
                _tell(f"wrp: waiting {f'up to {limit_s:g} s' if limit_s < math.inf else 'without a limit'} for the daemon {name!r}; so far: {error}")


def _tell(line):
    with suppress(AttributeError, OSError, ValueError):         # nobody has to read it
        print(line, file=sys.stderr, flush=True)


class _NotYet(Exception):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


def _ready(name):
    try:
        segment = place.attach_segment(name)
    except StoreVersion:
        raise
    except StoreError as error:
        raise _NotYet(error) from error
    try:
        about = About.find(segment)
        if about is None:
            raise _NotYet(StoreError(f"the daemon {name!r} is just starting: wait a moment"))
        about.check(name)
        if not about.is_alive():
            raise _NotYet(RuntimeGone(f"the daemon {name!r} (process {about.pid}) has ended without being stopped; {GONE_HINT}"))
        if about.state != READY:
            raise _NotYet(RuntimeGone(f"the daemon {name!r} (process {about.pid}) is {STATES[about.state]}: wait until it is ready"))
        return segment, about
    except BaseException:
        segment.close()
        raise


def wait_s(timeout_s):
    """Seconds to wait for a daemon: what was asked for, else CHI_WAIT_SERVER, else 30."""
    if timeout_s is None:
        text = os.environ.get("CHI_WAIT_SERVER") or str(_DEFAULT_WAIT_S)
        try:
            timeout_s = float(text)
        except ValueError:
            raise UsageError(f"CHI_WAIT_SERVER is {text!r}: give seconds, 0 for not waiting, -1 for ever") from None
    return float("inf") if timeout_s < 0 else timeout_s
