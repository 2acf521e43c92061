"""A device in memory that is never paged out: ram, all of it backed and locked when it is made, and registered with the gpu where there is one."""

import ctypes
import os
import resource

from wrp.comm.sizes import format_size
from wrp.errors import OutOfSpace, UsageError
from wrp.runtime.devices import gpu
from wrp.runtime.devices.held import HeldDevice
from wrp.runtime.devices.ram import RamDevice

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mlock.argtypes = _libc.munlock.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


class PinnedDevice(HeldDevice, RamDevice):
    """The first rank of the node has locked the pages, for as long as it has the device open; each rank tells its gpu of them by itself."""

    kind = "pinned"

    def __init__(self, node, pool, name, is_locked=None):
        super().__init__(node, pool, name)
        address = node.address + self._base
        runtime = _registered(address, self.capacity)
        self._hold(_let_go, address, self.capacity if is_locked else 0, runtime)


def lock(node, name, base, capacity):
    """Back and lock the memory. Raises OutOfSpace, which says what the limit is."""
    node.segment.reserve(base, capacity)
    if _libc.mlock(node.address + base, capacity):
        why = os.strerror(ctypes.get_errno())
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        said = "without limit" if limit == resource.RLIM_INFINITY else format_size(limit)
        raise OutOfSpace(f"device {name!r}: {format_size(capacity)} of memory can't be locked ({why}): this process may lock {said} (ulimit -l, RLIMIT_MEMLOCK): "
                         f"raise that, or ask for less")
    return True


def _registered(address, nbytes):
    """CuPy's runtime, which knows the memory now; None where there is no gpu."""
    try:
        runtime = gpu.library()
    except UsageError:
        return None
    runtime.hostRegister(address, nbytes, 0)
    return runtime


def _let_go(address, nbytes, runtime):
    if runtime is not None:
        runtime.hostUnregister(address)
    if nbytes:
        _libc.munlock(address, nbytes)
