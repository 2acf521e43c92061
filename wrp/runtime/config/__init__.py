"""The configuration of a runtime and of the store above it: one YAML file over one schema."""

from wrp.runtime.config.keys import Key, describe
from wrp.runtime.config.load import Config, load

__all__ = ["Config", "Key", "describe", "load"]
