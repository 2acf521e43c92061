"""The module chimaera_runtime_ext under its later name: ``import clio_runtime_ext as clio``."""

from chimaera_runtime_ext import *  # noqa: F401,F403
from chimaera_runtime_ext import __all__  # noqa: F401
