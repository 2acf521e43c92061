"""The commands `wrp-runtime` and `chimaera`."""
