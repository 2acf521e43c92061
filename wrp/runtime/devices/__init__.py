"""Devices: leased space in memory, files and gpus of a node, and the bytes in it."""

from wrp.runtime.devices.device import Device
from wrp.runtime.devices.making import make_device, open_device
from wrp.runtime.devices.ram import share_of_memory
from wrp.runtime.devices.safe.layout import address
from wrp.runtime.devices.spec import Spec, noted, of_pool, paths_of

__all__ = ["Device", "Spec", "address", "make_device", "noted", "of_pool", "open_device", "paths_of", "share_of_memory"]
