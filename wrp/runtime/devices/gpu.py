"""A device in the memory of a gpu, through CuPy, which is imported when the first one is made. The first rank of the node has the memory."""

import numpy as np

from wrp.comm import atomics
from wrp.errors import OutOfSpace, UsageError
from wrp.runtime import bdev
from wrp.runtime.devices.held import HeldDevice

HANDLE_NBYTES = 64              # by which other processes open the memory


def library():
    """CuPy's module `cuda.runtime`. Raises UsageError, saying what is missing."""
    try:
        from cupy.cuda import runtime
        count = runtime.getDeviceCount()
    except ImportError as error:
        raise UsageError("a device of kind gpu needs the package cupy (cupy-cuda12x), which isn't installed here") from error
    except Exception as error:          # CuPy's own class, of a library without a driver
        raise UsageError(f"a device of kind gpu needs a gpu with its driver, which this machine hasn't ({error})") from error
    if not count:
        raise UsageError("a device of kind gpu needs a gpu, which this machine hasn't")
    return runtime


def allocate(name, capacity, words):
    """Take the memory on the node's first rank: its address there; `words` (writable bytes, 64) get the handle. Raises OutOfSpace."""
    runtime = library()
    try:
        address = runtime.malloc(capacity)
    except runtime.CUDARuntimeError as error:
        raise OutOfSpace(f"device {name!r}: the gpu has no room for {capacity} bytes ({error})") from error
    words[:] = bytes(runtime.ipcGetMemHandle(address))
    return address


class GpuDevice(HeldDevice):
    """`address`: of the memory in the process that took it; other processes open it by its handle."""

    kind = "gpu"
    align = 256
    first, unit = 4 << 20, 64 << 20

    def __init__(self, node, pool, name, address=None):
        super().__init__(node, pool, name)
        self._runtime = library()
        if address is None:
            start = atomics.load(pool._slot.params + bdev.BASE)
            address = self._runtime.ipcOpenMemHandle(bytes(node.segment.buffer[start:start + HANDLE_NBYTES]))
            self._hold(self._runtime.ipcCloseMemHandle, address)
        else:
            self._hold(self._runtime.free, address)
        self._memory = address

    def write(self, offset, data):
        """Copy `data` (bytes-like, contiguous) to the gpu."""
        source = np.frombuffer(data, np.uint8)
        self._check_range(offset, source.nbytes)
        self.move(True, offset, source.ctypes.data, source.nbytes)

    def read(self, offset, out):
        """Fill `out` (writable bytes-like, contiguous) from the gpu."""
        target = np.frombuffer(out, np.uint8)
        self._check_range(offset, target.nbytes)
        self.move(False, offset, target.ctypes.data, target.nbytes)

    def move(self, writes, offset, address, nbytes):
        """Copy from or to host memory at an address; any thread."""
        place = self._memory + offset
        if nbytes and writes:
            self._runtime.memcpy(place, address, nbytes, self._runtime.memcpyHostToDevice)
        elif nbytes:
            self._runtime.memcpy(address, place, nbytes, self._runtime.memcpyDeviceToHost)

    def _back(self, offset, nbytes):
        """The gpu's memory was taken when the device was made."""
