"""A device that has something of the system in its hands: descriptors, memory of a gpu. It is let go at close, or with the object."""

import weakref

from wrp.runtime.devices.device import Device


class HeldDevice(Device):
    """What `file.py` and `gpu.py` have in common."""

    _letting_go = None

    def _hold(self, let_go, *what):
        """`let_go(*what)` is called once, when this device is closed, or gone."""
        self._letting_go = weakref.finalize(self, let_go, *what)

    def close(self):
        if self.is_open:
            try:
                super().close()
            finally:
                if not self.is_open and self._is_unused():
                    self._letting_go()

    close.__doc__ = Device.close.__doc__

    def _is_unused(self):
        """False while another thread may be about to use what is held: then it goes with the object."""
        return True
