"""The module wrp_cee under its later name: ``import clio_cee as cee``."""

from wrp.cee import AssimilationCtx, ContextInterface

__all__ = ["AssimilationCtx", "ContextInterface"]
