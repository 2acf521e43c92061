"""The names that users of the reference system know: ``import wrp_cee as cee``."""

from wrp.cee import AssimilationCtx, ContextInterface

__all__ = ["AssimilationCtx", "ContextInterface"]
