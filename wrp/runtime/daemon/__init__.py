"""The daemon: a runtime that other jobs of its node attach to by name. Import its modules by name; `attach` is for users."""

from wrp.runtime.daemon.attached import Attached
from wrp.runtime.daemon.reattaching import attach

__all__ = ["Attached", "attach"]
