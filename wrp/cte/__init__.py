"""The context transfer engine: named blobs in tags, over tiers of ram and files, durable on demand."""

from wrp.cte.opening import DAEMON
from wrp.cte.store import BlobInfo, Lasting, Store, TargetInfo

__all__ = ["DAEMON", "BlobInfo", "Lasting", "Store", "TargetInfo"]
