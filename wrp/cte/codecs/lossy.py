"""Lossy codecs for float32 and float64, with a bound on the error that is checked at encoding: zfp, sz3, fpzip.

A blob has no shape, so numbers are taken as one row. Every encoding is decoded again and compared: where the bound doesn't hold, or
a value is NaN or infinite, the codec is Unsuited and the bytes are kept as they are. With `error_bound` e:

    zfp, sz3   |decoded - original| <= e for every value
    fpzip      |decoded - original| <= e * |original| for every value
    without e  the reference's presets: zfp keeps 8, then 16 bits a value (no bound), best |error| <= 1e-3; sz3 |error| <= 5 %, 1 %,
               0.5 % of (largest - smallest); fpzip keeps the first 12, 18, 21 bits of each value (rounded towards zero)
"""

import math

import numpy as np

from wrp.cte.codecs.contract import BALANCED, BEST, FAST, Base, Unsuited


class _Lossy(Base):
    lossy = True

    def __init__(self, preset=BALANCED, dtype="f4", error_bound=None):
        super().__init__(preset)
        self.dtype, self.error_bound = np.dtype(dtype), error_bound
        if self.dtype.str not in ("<f4", "<f8"):
            raise ValueError(f"{self.name} takes float32 and float64 (<f4, <f8), not {self.dtype.str}")
        if error_bound is not None and not (error_bound > 0 and math.isfinite(error_bound)):
            raise ValueError(f"error_bound {error_bound} must be a number above 0")

    def get_config(self):
        return {**super().get_config(), "dtype": self.dtype.str, "error_bound": self.error_bound}

    def encode(self, data):
        view = memoryview(data).cast("B")
        if not len(view) or len(view) % self.dtype.itemsize:
            raise Unsuited(f"{len(view)} bytes are no whole number of {self.dtype}")
        values = np.frombuffer(view, self.dtype)
        if not np.isfinite(values).all():
            raise Unsuited("some values are NaN or infinite")
        encoded = self._encode(values)
        self._check(values, encoded)
        return encoded

    def _check(self, values, encoded):
        allowed = self._allowed(values)
        if allowed is None:
            return
        decoded = np.frombuffer(self.decode(encoded, values.nbytes), self.dtype)
        if not np.all(np.abs(decoded.astype("f8") - values.astype("f8")) <= allowed):
            raise Unsuited(f"{self.name} doesn't keep the error bound on this data")


class Zfp(_Lossy):
    name = "zfp"
    _RATES = {FAST: 8, BALANCED: 16}

    def _encode(self, values):
        import zfpy

        if self.error_bound is None and self.preset in self._RATES:
            return zfpy.compress_numpy(values, rate=self._RATES[self.preset])
        return zfpy.compress_numpy(values, tolerance=self._allowed(values))

    def _allowed(self, values):
        if self.error_bound is not None:
            return self.error_bound
        return 1e-3 if self.preset == BEST else None

    def _decode(self, data, raw_nbytes):
        import zfpy

        return zfpy.decompress_numpy(bytes(data))


class Sz3(_Lossy):
    name = "sz3"
    _PARTS = {FAST: 0.05, BALANCED: 0.01, BEST: 0.005}

    def _encode(self, values):
        from pysz import sz, szConfig, szErrorBoundMode

        bound = self._allowed(values)
        if not bound:
            raise Unsuited("all values are the same")
        config = szConfig()
        config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, bound
        return sz.compress(np.array(values), config)[0].tobytes()

    def _allowed(self, values):
        if self.error_bound is not None:
            return self.error_bound
        return self._PARTS[self.preset] * (float(values.max()) - float(values.min()))

    def _decode(self, data, raw_nbytes):
        from pysz import sz

        return sz.decompress(np.frombuffer(data, np.uint8).copy(), self.dtype, (raw_nbytes // self.dtype.itemsize,))[0]


class Fpzip(_Lossy):
    name = "fpzip"
    _BITS = {FAST: 12, BALANCED: 18, BEST: 21}

    def _encode(self, values):
        import fpzip

        return fpzip.compress(np.array(values), precision=self._precision())

    def _precision(self):
        """Bits kept of a value: sign, exponent, and as much of the mantissa as the bound wants. 0: all."""
        head, whole = (9, 32) if self.dtype.itemsize == 4 else (12, 64)
        bits = self._BITS[self.preset]
        if self.error_bound is not None:
            bits = head + max(0, math.ceil(-math.log2(self.error_bound)))
        # fpzip cuts doubles at even numbers of bits
        bits += bits % 2 if whole == 64 else 0
        return bits if bits < whole else 0

    def _allowed(self, values):
        return None if self.error_bound is None else self.error_bound * np.abs(values.astype("f8"))

    def _decode(self, data, raw_nbytes):
        import fpzip

        return np.ascontiguousarray(fpzip.decompress(bytes(data), order="C")).reshape(-1)
