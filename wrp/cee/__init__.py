"""Exploration: what is in a store, out of it again, and gone. Above all other floors."""

from wrp.cee.context import AssimilationCtx, ContextInterface
from wrp.cee.explore import BlobRow, BlobStat, TagRow, destroy, ls, query, stat

__all__ = ["AssimilationCtx", "BlobRow", "BlobStat", "ContextInterface", "TagRow", "destroy", "ls", "query", "stat"]
