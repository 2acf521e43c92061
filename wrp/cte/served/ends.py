"""How a call to a daemon's store ends that the daemon hasn't answered."""

from wrp.errors import RuntimeGone, WaitTimeout


class Gone(RuntimeGone):
    """The daemon has ended, and what it was asked was surely not done."""


class Late(WaitTimeout):
    """The daemon hasn't answered in time, and may still do what it was asked."""
