"""The way of interception for programs in Python: its file functions are replaced by ones that wait. No compiler, nothing of the kernel."""

from wrp.capio.inprocess.install import install

__all__ = ["install"]
