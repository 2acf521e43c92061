"""Assimilation: what a job file names becomes tags and blobs. The command is `wrp_cae_omni`."""

from wrp.cae.omni import Job, Transfer, load

__all__ = ["Job", "Transfer", "load"]
