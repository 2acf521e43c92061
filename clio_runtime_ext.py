"""The module chimaera_runtime_ext under its later name: ``import clio_runtime_ext as clio``."""

from chimaera_runtime_ext import (ChimaeraMode, MonitorTask, RuntimeMode, async_monitor, chimaera_finalize, chimaera_init, clio_finalize, clio_init,
                                  stop_runtime)

__all__ = ["ChimaeraMode", "MonitorTask", "RuntimeMode", "async_monitor", "chimaera_finalize", "chimaera_init", "clio_finalize", "clio_init", "stop_runtime"]
