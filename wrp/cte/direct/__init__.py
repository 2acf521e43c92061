"""The short way to blobs in ram: one kernel a call."""

from wrp.cte.direct.direct import Direct

__all__ = ["Direct"]
