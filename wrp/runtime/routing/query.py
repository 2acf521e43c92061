"""PoolQuery: where a task of a pool is to run, as a value and as text. Pure: asks no module, knows no node."""

from typing import NamedTuple

from wrp.errors import UsageError

LOCAL, DIRECT_ID, DIRECT_HASH, RANGE, BROADCAST, PHYSICAL, DYNAMIC, MANY_TO_ONE, ALL_TO_ONE = (
    "local", "direct_id", "direct_hash", "range", "broadcast", "physical", "dynamic", "many_to_one", "all_to_one")
_NUMBERS = {LOCAL: 0, DIRECT_ID: 1, DIRECT_HASH: 1, RANGE: 2, BROADCAST: 0, PHYSICAL: 1, DYNAMIC: 0, MANY_TO_ONE: 3, ALL_TO_ONE: 2}
_FORMS = ("local, direct_id:N, direct_hash:N, range:OFFSET:COUNT, broadcast, physical:NODE, dynamic, "
          "many_to_one:HASH:KEY:NANOSECONDS, all_to_one:HASH:KEY")
_WORD = (1 << 64) - 1
_WINDOW_NS = 10_000
_LARGEST = 1 << 62


class PoolQuery(NamedTuple):
    """`kind` and its numbers. `net_timeout_s`: how long a node may be silent, None: networking.net_timeout, 0: not at all."""

    kind: str
    numbers: tuple = ()
    net_timeout_s: float = None

    @classmethod
    def local(cls):
        """The container of the node that calls."""
        return cls(LOCAL)

    @classmethod
    def direct_id(cls, container, net_timeout_s=None):
        """The container of this number."""
        return cls(DIRECT_ID, (container,), net_timeout_s)

    @classmethod
    def direct_hash(cls, value, net_timeout_s=None):
        """One container for each value, the same from every node."""
        return cls(DIRECT_HASH, (value,), net_timeout_s)

    @classmethod
    def range(cls, offset, count, net_timeout_s=None):
        """`count` containers from number `offset` on, each once; their results are brought together."""
        return cls(RANGE, (offset, count), net_timeout_s)

    @classmethod
    def broadcast(cls, net_timeout_s=None):
        """All containers."""
        return cls(BROADCAST, (), net_timeout_s)

    @classmethod
    def physical(cls, node, net_timeout_s=None):
        """The first container of a node."""
        return cls(PHYSICAL, (node,), net_timeout_s)

    @classmethod
    def dynamic(cls):
        """Where the module's `route` says; without one the container of the node that calls."""
        return cls(DYNAMIC)

    @classmethod
    def many_to_one(cls, value, key=0, window_ns=_WINDOW_NS, net_timeout_s=None):
        """Tasks of the same method, value and key that come within the window run as one, in the container of the value."""
        return cls(MANY_TO_ONE, (value, key, window_ns), net_timeout_s)

    @classmethod
    def all_to_one(cls, value, key=0, net_timeout_s=None):
        """As `many_to_one`; the one runs when every node that has containers of the pool has contributed, however often each did."""
        return cls(ALL_TO_ONE, (value, key), net_timeout_s)

    @classmethod
    def parse(cls, text, net_timeout_s=None):
        """The PoolQuery of its text, in any case. Raises UsageError."""
        if isinstance(text, PoolQuery):
            return text.checked()
        kind, *words = str(text).strip().lower().split(":")
        if kind not in _NUMBERS:
            raise UsageError(f"there is no route {text!r}: give one of {_FORMS}")
        try:
            numbers = tuple(int(word) for word in words)
        except ValueError:
            numbers = None
        if numbers is None or len(numbers) > _NUMBERS[kind] or len(numbers) < min(_NUMBERS[kind], 1 if kind.endswith("_to_one") else 2):
            raise UsageError(f"the route {text!r} has wrong numbers: give one of {_FORMS}")
        if kind == MANY_TO_ONE:
            numbers += (0, _WINDOW_NS)[len(numbers) - 1:]
        if kind == ALL_TO_ONE:
            numbers += (0,)[len(numbers) - 1:]
        return cls(kind, numbers, net_timeout_s).checked()

    def checked(self):
        """This one. Raises UsageError for numbers that no pool has."""
        if self.kind not in _NUMBERS or len(self.numbers) != _NUMBERS[self.kind]:
            raise UsageError(f"the route {self} is none: give one of {_FORMS}")
        if self.kind in (DIRECT_ID, PHYSICAL, RANGE) and min(self.numbers) < 0 or self.kind == RANGE and self.numbers[1] < 1:
            raise UsageError(f"the route {self} has a number that is too small")
        if self.kind in (MANY_TO_ONE, ALL_TO_ONE) and not (0 <= self.numbers[1] < _LARGEST and 0 <= self.numbers[-1] < _LARGEST):
            raise UsageError(f"the route {self} has a key or a window that is negative or too large")
        if self.net_timeout_s is not None and self.net_timeout_s < 0:
            raise UsageError(f"the route {self} has a time limit of {self.net_timeout_s} s: it must be 0 or more, or None")
        return self

    @property
    def joins(self):
        """True when several tasks become one."""
        return self.kind in (MANY_TO_ONE, ALL_TO_ONE)

    def resolved(self, containers, node, nodes):
        """(first container, how many) for a caller on `node` of `nodes`. Raises UsageError for what the pool hasn't got."""
        kind, numbers, size = self.kind, self.numbers, containers.size
        if containers.size == nodes == 1:
            return 0, 1                 # everything is local
        if kind in (LOCAL, DYNAMIC):
            return containers.first_on(node), 1
        if kind in (DIRECT_HASH, MANY_TO_ONE, ALL_TO_ONE):
            return (numbers[0] & _WORD) % size, 1
        if kind == PHYSICAL:
            return containers.first_on(numbers[0]), 1
        first, count = {DIRECT_ID: lambda: (numbers[0], 1), RANGE: lambda: numbers, BROADCAST: lambda: (0, size)}[kind]()
        if first + count > size:
            raise UsageError(f"the route {self} wants containers {first} to {first + count - 1}: the pool has {size}, numbered from 0")
        return first, count

    def __str__(self):
        return ":".join([self.kind, *map(str, self.numbers)])
