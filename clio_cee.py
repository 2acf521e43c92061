"""The module wrp_cee under its later name: ``import clio_cee as cee``."""

from wrp_cee import *  # noqa: F401,F403
from wrp_cee import __all__  # noqa: F401
