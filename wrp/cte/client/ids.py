"""Ids of tags: two numbers of 32 bits, made from the moment at which the tag was made. They look nothing up."""

from typing import NamedTuple

_LOW = 0xFFFFFFFF


class UniqueId(NamedTuple):
    """`major`, `minor`: 0 to 2**32 - 1; both 0: the null id, of nothing. Equal ids name the same tag, in every process and job."""

    major: int = 0
    minor: int = 0

    @classmethod
    def null(cls):
        return cls(0, 0)

    @classmethod
    def from_u64(cls, value):
        """The id whose `to_u64` is `value`."""
        return cls(value >> 32 & _LOW, value & _LOW)

    def to_u64(self):
        return self.major << 32 | self.minor

    @property
    def is_null(self):
        return self == (0, 0)

    def __str__(self):
        return f"{self.major}.{self.minor}"
