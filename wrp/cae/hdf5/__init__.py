"""`hdf5::` sources: every dataset as a byte stream of its own, and the rest of the file so that it can be given back."""

from wrp.cae.hdf5.layout import Chunks, Dataset, Layout
from wrp.cae.hdf5.survey import Hdf5

__all__ = ["Chunks", "Dataset", "Hdf5", "Layout"]
