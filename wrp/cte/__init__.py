"""The context transfer engine: named blobs in tags, over tiers of ram and files, durable on demand."""

from wrp.comm.offering import offered

__getattr__, __dir__, __all__ = offered(__name__, {"names": ("DAEMON",), "store": ("BlobInfo", "Lasting", "Store", "TargetInfo")})
