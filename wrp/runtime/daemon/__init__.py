"""The daemon: a runtime that other jobs of its node attach to by name. Import its modules by name; `attach` is for users."""

from wrp.comm.offering import offered

__getattr__, __dir__, __all__ = offered(__name__, {"attached": ("Attached",), "reattaching": ("attach",)})
