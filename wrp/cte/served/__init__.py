"""A store that lives in a daemon, and what programs attached to the daemon have of it. Start with serving.py (the daemon's side) and attached.py."""

from wrp.cte.served.attached import AttachedStore, attach, serves

__all__ = ["AttachedStore", "attach", "serves"]
