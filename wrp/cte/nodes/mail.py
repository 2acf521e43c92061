"""Mail: memory of a node in which questions and answers lie while others fetch them."""

from wrp.comm.streaming import address_of

NBYTES = 32 << 20


class Mail:
    """Part of the node's segment, leased by all its ranks. Collective over the node. `at`: its offset there; `remote`: the RemoteWindow."""

    def __init__(self, runtime):
        self._device = runtime.device("wrp_cte_mail", "ram", NBYTES)
        self.at = offset_in(runtime.segment, self._device)
        self.remote = runtime.remote

    @property
    def is_short(self):
        """True when more than half of it is in use: who has some for later gives it back."""
        return 2 * self._device.remaining < self._device.capacity

    def lease(self, nbytes):
        """Place of so many bytes. Raises OutOfSpace."""
        return self._device.lease(nbytes)

    def give_back(self, place, nbytes):
        self._device.give_back(place, nbytes)

    def view(self, place, nbytes):
        """The bytes themselves, writable."""
        return self._device.view(place, nbytes)


def offset_in(segment, device):
    """Offset of a ram device's first byte in its node's segment."""
    return address_of(device.view(0, device.capacity)) - segment.address
