"""The context transfer engine: named blobs in tags, over tiers of ram and files, durable on demand."""

from wrp.cte.store import BlobInfo, Store, TargetInfo

__all__ = ["BlobInfo", "Store", "TargetInfo"]
