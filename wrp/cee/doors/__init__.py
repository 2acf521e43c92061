"""Doors for array libraries: `filesystem` (fsspec, `wrp://`), `tagstore` and `hdf5store` (zarr v3). Each imports its library when it is imported."""
