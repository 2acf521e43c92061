"""The contract of codecs, presets, and the numbers by which stored bytes name their codec. No codec here."""

from typing import Protocol

from wrp.errors import WrpError

FAST, BALANCED, BEST = 1, 2, 3
PRESETS = {"fast": FAST, "balanced": BALANCED, "best": BEST}


class Unsuited(ValueError):
    """This codec doesn't take these bytes (a lossy one: no whole numbers, NaN, or a bound it can't keep): store them as they are."""


class Codec(Protocol):
    """Bytes to fewer bytes and back. Made by `registry.codec`; holds no state, so threads may share it.

    name     as in the registry
    lossy    True when decoded bytes may differ, within the bound that its class states
    """

    name: str
    lossy: bool

    def encode(self, data) -> bytes:
        """The encoded form of contiguous bytes-like `data`. Unsuited when the codec can't take it."""

    def decode(self, data, raw_nbytes, out=None):
        """The `raw_nbytes` bytes that `data` was made from; with `out` (writable, of that length) they are put there too.

        Raises ValueError when `data` isn't what this codec makes of so many bytes.
        """

    def get_config(self) -> dict:
        """What `registry.from_config` needs to make an equal codec: plain values only."""


class Base:
    """What codecs share: configuration, equality, and the last step of decoding."""

    name = ""
    lossy = False

    def __init__(self, preset=BALANCED):
        self.preset = preset

    def get_config(self):
        return {"id": self.name, "preset": self.preset}

    def __eq__(self, other):
        return isinstance(other, Base) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash(repr(self))

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.get_config().items() if key != 'id')})"

    def decode(self, data, raw_nbytes, out=None):
        try:
            decoded = self._decode(data, raw_nbytes) if raw_nbytes else b""
        except (MemoryError, KeyboardInterrupt, WrpError):      # of a handler of a signal the last
            raise
        except Exception as error:      # every library has an error class of its own
            raise ValueError(f"{self.name} can't decode {len(data)} bytes: {error}") from None
        return delivered(self.name, decoded, raw_nbytes, out)


def delivered(name, decoded, raw_nbytes, out):
    """`decoded`, which must have `raw_nbytes` bytes, in `out` where one is given."""
    view = memoryview(decoded).cast("B")
    if len(view) != raw_nbytes:
        raise ValueError(f"{name} decoded {len(view)} bytes instead of {raw_nbytes}")
    if out is None:
        return decoded if isinstance(decoded, bytes) else bytes(view)
    memoryview(out).cast("B")[:] = view
    return out
