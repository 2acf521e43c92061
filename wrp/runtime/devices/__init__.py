"""Devices: leased space in memory and files of a node, and the bytes in it."""

from wrp.runtime.devices.device import Device
from wrp.runtime.devices.making import make_device

__all__ = ["Device", "make_device"]
