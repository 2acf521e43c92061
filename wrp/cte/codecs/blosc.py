"""Blosc: shuffle and a fast codec over blocks. `blosc` by the package numcodecs, `blosc2` by the package blosc2."""

from wrp.cte.codecs.contract import BALANCED, BEST, FAST, Base, Unsuited

_LEVELS = {FAST: 1, BALANCED: 5, BEST: 5}
_MOST = 2**31 - 64              # bytes that one buffer of Blosc may hold


class Blosc(Base):
    """Byte shuffle over elements of `itemsize`, then zstd (best) or lz4. Blosc 1 buffers."""

    name = "blosc"

    def __init__(self, preset=BALANCED, itemsize=1):
        super().__init__(preset)
        self.itemsize = itemsize

    def get_config(self):
        return {**super().get_config(), "itemsize": self.itemsize}

    def encode(self, data):
        from numcodecs import blosc

        view = memoryview(data).cast("B")
        if len(view) > _MOST:
            raise Unsuited(f"{len(view)} bytes are more than a buffer of Blosc holds")
        codec = b"zstd" if self.preset == BEST else b"lz4"
        return blosc.compress(view, codec, _LEVELS[self.preset], blosc.SHUFFLE, 0, typesize=self.itemsize)

    def _decode(self, data, raw_nbytes):
        from numcodecs import blosc

        _check_header(data, raw_nbytes)
        return blosc.decompress(data)


class Blosc2(Blosc):
    """The same in Blosc 2 buffers."""

    name = "blosc2"

    def encode(self, data):
        import blosc2

        view = memoryview(data).cast("B")
        if len(view) > _MOST:
            raise Unsuited(f"{len(view)} bytes are more than a buffer of Blosc holds")
        codec = blosc2.Codec.ZSTD if self.preset == BEST else blosc2.Codec.LZ4
        return blosc2.compress2(view, codec=codec, clevel=_LEVELS[self.preset], typesize=self.itemsize, nthreads=1,
                                filters=[blosc2.Filter.SHUFFLE], filters_meta=[0])

    def _decode(self, data, raw_nbytes):
        import blosc2

        _check_header(data, raw_nbytes)
        return blosc2.decompress2(data, nthreads=1)


def _check_header(data, raw_nbytes):
    """The sizes that a buffer claims: Blosc itself believes them."""
    view = memoryview(data).cast("B")
    if len(view) < 16:
        raise ValueError("the buffer is cut")
    raw, stored = (int.from_bytes(view[start:start + 4], "little") for start in (4, 12))
    if raw != raw_nbytes or stored != len(view):
        raise ValueError(f"the buffer says {raw} bytes in {stored}")
