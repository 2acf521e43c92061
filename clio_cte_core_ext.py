"""The module wrp_cte_core_ext under its later name: ``import clio_cte_core_ext as cte``."""

from wrp_cte_core_ext import *  # noqa: F401,F403
from wrp_cte_core_ext import __all__  # noqa: F401
