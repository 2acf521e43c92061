"""The names of the runtime that users of the reference system know: ``import chimaera_runtime_ext as chimaera``."""

from wrp.runtime.facade import ChimaeraMode, MonitorTask, async_monitor, chimaera_finalize, chimaera_init, stop_runtime

__all__ = ["ChimaeraMode", "MonitorTask", "async_monitor", "chimaera_finalize", "chimaera_init", "stop_runtime"]
