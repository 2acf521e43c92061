"""`s3://bucket/key` sources, and objects of any other service that fsspec knows: as raw bytes, or as an HDF5 file."""

from wrp.cae.objects.survey import Objects

__all__ = ["Objects"]
