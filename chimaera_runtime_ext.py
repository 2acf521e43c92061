"""The names of the runtime that users of the reference system know: ``import chimaera_runtime_ext as chimaera``."""

from wrp.runtime.facade import ChimaeraMode, MonitorTask, async_monitor, chimaera_finalize, chimaera_init, stop_runtime

RuntimeMode, clio_init, clio_finalize = ChimaeraMode, chimaera_init, chimaera_finalize          # as later releases name them

__all__ = ["ChimaeraMode", "MonitorTask", "RuntimeMode", "async_monitor", "chimaera_finalize", "chimaera_init", "clio_finalize", "clio_init", "stop_runtime"]
