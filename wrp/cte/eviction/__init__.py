"""Which blobs leave a full ram when a put needs the room: policies by name that say an order, and the driver that has them leave. The policies move no byte."""

from wrp.cte.eviction.contract import Blob, leave
from wrp.cte.eviction.policies import NAMES, make

__all__ = ["Blob", "NAMES", "leave", "make"]
