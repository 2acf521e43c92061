"""Meetings: barrier, reduction and gathering of any participants over a pool, as tasks."""

from wrp.runtime.meeting.meeting import Meeting

__all__ = ["Meeting"]
