"""Distributed arrays: every rank puts its block, any job of any number of ranks gets any box."""

from wrp.cte.arrays.array import ArrayInfo, array_info, get_array, put_array

__all__ = ["ArrayInfo", "array_info", "get_array", "put_array"]
