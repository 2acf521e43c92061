"""Exploration: what is in a store, out of it again, and gone. Above all other floors."""

from wrp.comm.offering import offered

__getattr__, __dir__, __all__ = offered(__name__, {"context": ("AssimilationCtx", "ContextInterface"),
                                                   "explore": ("BlobRow", "BlobStat", "TagRow", "destroy", "ls", "query", "stat")})
