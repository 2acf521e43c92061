"""A device without bytes: space is leased and given back, what is written is lost. To measure all but the moving of bytes."""

from wrp.runtime.devices.device import Device


class NoopDevice(Device):
    """Nothing is stored, so reading leaves the buffer as it is."""

    kind = "noop"
    align = 4096
    first, unit = 4 << 20, 64 << 20

    def write(self, offset, data):
        """Check the range, write nothing."""
        self._check_range(offset, memoryview(data).nbytes)

    def read(self, offset, out):
        """Check the range, read nothing."""
        self._check_range(offset, memoryview(out).nbytes)

    def _back(self, offset, nbytes):
        """There is nothing to back."""
