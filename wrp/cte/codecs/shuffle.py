"""Byte shuffle before another codec: first all lowest bytes of the elements, then all second ones, and so on."""

import numpy as np

from wrp.cte.codecs.contract import delivered


class Shuffled:
    """Another codec over shuffled elements of `itemsize` bytes; what doesn't fill an element at the end stays as it is."""

    def __init__(self, inner, itemsize):
        self.inner, self.itemsize = inner, itemsize
        self.name, self.lossy, self.preset = f"shuffle+{inner.name}", False, inner.preset

    def get_config(self):
        return {**self.inner.get_config(), "id": self.name, "itemsize": self.itemsize}

    def __eq__(self, other):
        return isinstance(other, Shuffled) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash((self.inner, self.itemsize))

    def __repr__(self):
        return f"Shuffled({self.inner!r}, itemsize={self.itemsize})"

    def encode(self, data):
        flat = np.frombuffer(data, np.uint8)
        whole = len(flat) - len(flat) % self.itemsize
        mixed = np.empty_like(flat)
        mixed[:whole].reshape(self.itemsize, -1)[...] = flat[:whole].reshape(-1, self.itemsize).T
        mixed[whole:] = flat[whole:]
        return self.inner.encode(mixed)

    def decode(self, data, raw_nbytes, out=None):
        mixed = np.empty(raw_nbytes, np.uint8)
        self.inner.decode(data, raw_nbytes, mixed)
        target = np.empty(raw_nbytes, np.uint8) if out is None else np.frombuffer(out, np.uint8)
        if len(target) != raw_nbytes:
            return delivered(self.name, mixed, raw_nbytes, out)         # says which sizes differ
        whole = raw_nbytes - raw_nbytes % self.itemsize
        target[:whole].reshape(-1, self.itemsize)[...] = mixed[:whole].reshape(self.itemsize, -1).T
        target[whole:] = mixed[whole:]
        return target.tobytes() if out is None else out
