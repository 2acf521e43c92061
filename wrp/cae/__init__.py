"""Assimilation: what a job file names becomes tags and blobs. The command is `wrp_cae_omni`."""

from wrp.comm.offering import offered

__getattr__, __dir__, __all__ = offered(__name__, {"omni": ("Job", "Transfer", "load")})
